//! `relabel check`: all that is wrong, before anything runs. What it finds is in `bad_input.rs`.

use serde_json::json;

use crate::support::Sandbox;

#[test]
fn a_sound_pipeline() {
    let sandbox = Sandbox::audit();
    let outcome = sandbox.relabel(&["check"]).ok();
    assert_eq!(outcome.out(), "ok: 9 nodes in relabel.yaml");
    let json = sandbox.relabel(&["check", "relabel.yaml", "--format", "json"]).ok().json();
    assert_eq!((&json["schema_version"], &json["nodes"]), (&json!(1), &json!(9)));
    assert_eq!(json["problems"], json!([]));
    assert!(!sandbox.path(".relabel").exists(), "a check writes nothing");
}

#[test]
fn the_only_file_in_pipelines_is_the_default() {
    let sandbox = Sandbox::audit();
    let text = sandbox.read("relabel.yaml").replace("taxonomy: taxonomy.yaml\n", "");
    std::fs::remove_file(sandbox.path("relabel.yaml")).unwrap();
    sandbox.write("pipelines/one.yaml", &text);
    sandbox.write("pipelines/records.csv", sandbox.read("records.csv"));
    sandbox.relabel(&["check"]).ok();
    sandbox.write("pipelines/two.yaml", &text);
    let outcome = sandbox.relabel(&["check"]).code(2);
    outcome.says(&["there are several in pipelines/", "pipelines/one.yaml, pipelines/two.yaml"]);
}

#[test]
fn paths_start_from_the_pipelines_folder() {
    let sandbox = Sandbox::audit();
    sandbox.write("elsewhere/empty", "");
    let mut command = sandbox.command(&["check", "../relabel.yaml"]);
    command.current_dir(sandbox.path("elsewhere"));
    sandbox.outcome(command).ok();
}

#[test]
fn an_override_is_named_where_it_is_wrong() {
    let sandbox = Sandbox::audit();
    let outcome = sandbox.relabel(&["check", "--set", "nodes.folds.k=none"]).code(2);
    outcome.says(&["--> --set", "nodes.folds.k=none"]);
}
