//! A rerun does what changed and nothing else, and says why.

use serde_json::Value;

use crate::support::data::UNITS;
use crate::support::{Events, Sandbox, plugins, unit_name};

const PREDICTION: [&str; 6] = ["oof", "oof[0]", "oof[1]", "oof[2]", "oof[3]", "oof[4]"];

/// A sandbox in which everything is in the cache.
fn after_a_run() -> Sandbox {
    let sandbox = Sandbox::audit();
    assert_eq!(sandbox.run(&[]).units("run"), UNITS);
    sandbox
}

#[track_caller]
fn check_all_hits(events: &Events) {
    assert_eq!(events.units("hit"), UNITS, "{events:?}");
    let counts = &events.finish()["units"];
    assert_eq!((&counts["hit"], &counts["run"]), (&Value::from(14), &Value::from(0)));
}

/// Units of a plan in a state, sorted.
fn planned(sandbox: &Sandbox, args: &[&str], state: &str) -> Vec<String> {
    let args: Vec<&str> = ["plan", "--format", "json"].iter().chain(args).copied().collect();
    let plan = sandbox.relabel(&args).ok().json();
    let units = plan["units"].as_array().unwrap().iter();
    let mut names: Vec<String> =
        units.filter(|unit| unit["state"] == state).map(unit_name).collect();
    names.sort();
    names
}

#[test]
fn the_second_run_hits_everything() {
    let sandbox = after_a_run();
    let events = sandbox.run(&[]);
    check_all_hits(&events);
    assert_eq!(events.finish()["exit_code"], 0);
    assert_eq!(planned(&sandbox, &[], "hit"), UNITS);
}

#[test]
fn the_result_does_not_depend_on_what_was_cached_or_on_jobs() {
    let (first, second) = (after_a_run(), Sandbox::audit());
    first.run(&["--force", "oof", "--jobs", "1"]);
    second.run(&["--jobs", "3"]);
    assert_eq!(first.frame("oof", &[]), second.frame("oof", &[]));
    assert_eq!(first.read("out/cleaned.csv"), second.read("out/cleaned.csv"));
}

#[test]
fn another_confidence_runs_the_filter_and_what_follows() {
    let sandbox = after_a_run();
    let set = ["--set", "params.confidence=1"];
    assert_eq!(planned(&sandbox, &set, "run"), ["suspicious"]);
    assert_eq!(planned(&sandbox, &set, "maybe"), ["queue"]);
    let text = sandbox.relabel(&["plan", "--set", "params.confidence=1"]).ok();
    assert!(text.stdout.contains("prediction_confidence > 0.5"), "{}", text.stdout);

    let events = sandbox.run(&set);
    assert_eq!(events.units("run"), ["queue", "suspicious"]);
    assert_eq!(events.reason("suspicious"), "params-changed");
    assert_eq!(events.unit("suspicious")["reason_detail"]["path"], "where");
    assert_eq!(events.reason("queue"), "input-changed");
    check_all_hits(&sandbox.run(&set));
}

#[test]
fn an_output_that_stays_the_same_ends_the_change() {
    let sandbox = after_a_run();
    // Every predicted category is approved here, so the condition less keeps the same records.
    sandbox.edit("relabel.yaml", "and text_valid and predicted_in_taxonomy", "and text_valid");
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), ["suspicious"]);
}

#[test]
fn another_plugin_runs_the_prediction_and_what_follows() {
    let sandbox = after_a_run();
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: naive-bayes");
    let events = sandbox.run(&[]);
    let mut expected = PREDICTION.to_vec();
    expected.extend(["queue", "suspicious"]);
    assert_eq!(events.units("run"), expected);
    assert_eq!(events.reason("oof[0]"), "plugin-changed");
    assert_eq!(events.reason("oof"), "plugin-changed");
    sandbox.edit("relabel.yaml", "plugin: naive-bayes", "plugin: linear");
    let events = sandbox.run(&[]);
    assert!(events.units("hit").iter().any(|unit| unit == "oof"), "{events:?}");
}

#[test]
fn comments_order_and_quoting_mean_nothing() {
    let sandbox = after_a_run();
    let text = sandbox.read("relabel.yaml");
    let (head, nodes) = text.split_once("nodes:\n").unwrap();
    let (before, filter) = nodes.split_once("  suspicious:\n").unwrap();
    let mut lines: Vec<&str> = before.lines().collect();
    lines.reverse();
    let shuffled = format!(
        "# Another comment.\n{head}nodes:\n  suspicious:\n{filter}{}\n  # The end.\n",
        lines.join("\n")
    );
    let quoted = shuffled
        .replace("{kind: source, path: records.csv}", "{\"path\": 'records.csv', kind: \"source\"}")
        .replace("confidence: 0.5", "confidence: 0.50");
    assert_ne!(quoted, text);
    sandbox.write("relabel.yaml", quoted);
    check_all_hits(&sandbox.run(&[]));
}

#[test]
fn a_renamed_node_is_free() {
    let sandbox = after_a_run();
    for (from, to) in [("folds:", "split:"), ("input: folds", "input: split")] {
        sandbox.edit("relabel.yaml", from, to);
    }
    // `params.folds` was renamed with it; the file still has to be right.
    sandbox.edit("relabel.yaml", "${params.folds}", "${params.split}");
    sandbox.edit("relabel.yaml", "  oof:", "  predictions:");
    sandbox.edit("relabel.yaml", "input: oof", "input: predictions");
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), [""; 0]);
    assert_eq!(events.units("hit").len(), 14);
}

#[test]
fn a_default_made_explicit_is_free() {
    let sandbox = after_a_run();
    sandbox.edit("relabel.yaml", "seed: 42}", "seed: 42, stratify: true}");
    sandbox.edit("relabel.yaml", "input: records}", "input: records, text: {max_chars: 20000}}");
    sandbox.edit("relabel.yaml", "{plugin: linear}", "{plugin: linear, params: {}}, seed: 42");
    check_all_hits(&sandbox.run(&[]));
    sandbox.edit("relabel.yaml", "seed: 42, stratify: true}", "seed: 43, stratify: true}");
    let events = sandbox.run(&[]);
    assert_eq!(events.reason("folds"), "params-changed");
    assert_eq!(events.unit("folds")["reason_detail"]["text"], "seed: 42 -> 43");
}

#[test]
fn an_edited_record_runs_what_it_must() {
    let sandbox = after_a_run();
    let before = sandbox.read("records.csv");
    sandbox.edit("records.csv", "r0001,", "r0001,another ");
    let events = sandbox.run(&[]);
    assert_eq!(events.units("hit"), ["decided"]);
    assert_eq!(events.reason("records"), "file-changed");
    assert_eq!(events.reason("valid"), "input-changed");

    // Taken back, all of it is there; only the files outside the cache are made anew.
    sandbox.write("records.csv", before);
    let events = sandbox.run(&[]);
    let run = events.units("run");
    assert!(run.iter().all(|unit| unit == "cleaned" || unit == "queue"), "{run:?}");
    assert_eq!(events.reason("cleaned"), "target-changed");
    check_all_hits(&sandbox.run(&[]));
}

#[test]
fn other_bytes_of_the_same_table_run_the_source_alone() {
    let sandbox = after_a_run();
    let quoted = sandbox.read("records.csv").replace(",account\n", ",\"account\"\n");
    sandbox.write("records.csv", quoted);
    assert_eq!(sandbox.run(&[]).units("run"), ["records"]);
}

#[test]
fn a_touched_file_is_no_change() {
    let sandbox = after_a_run();
    let text = sandbox.read("records.csv");
    sandbox.write("records.csv", text);
    check_all_hits(&sandbox.run(&[]));
}

#[test]
fn a_moved_pipeline_with_its_cache_still_hits() {
    let sandbox = after_a_run();
    for name in ["relabel.yaml", "taxonomy.yaml", "records.csv"] {
        sandbox.write(&format!("below/{name}"), sandbox.read(name));
    }
    let events = sandbox.run(&["below/relabel.yaml"]);
    let mut run = events.units("run");
    run.retain(|unit| unit != "cleaned" && unit != "queue");
    assert_eq!(run, [""; 0], "{events:?}");
}

#[test]
fn the_taxonomy_counts_where_it_is_read() {
    let sandbox = after_a_run();
    sandbox.edit("taxonomy.yaml", "technical]", "technical, other]");
    let events = sandbox.run(&[]);
    assert_eq!(events.reason("valid"), "taxonomy-changed");
    assert!(events.units("hit").contains(&"records".to_owned()));
    assert!(events.units("hit").contains(&"current".to_owned()));
}

#[test]
fn plan_has_an_exit_code_for_scripts() {
    let sandbox = Sandbox::audit();
    sandbox.relabel(&["plan"]).ok();
    sandbox.relabel(&["plan", "--exit-code"]).code(4);
    sandbox.run(&[]);
    sandbox.relabel(&["plan", "--exit-code"]).ok();
    sandbox.relabel(&["plan", "--exit-code", "--force", "queue"]).code(4);
}

#[test]
fn two_runs_at_once_share_one_cache() {
    let sandbox = Sandbox::audit();
    plugins::compile(&sandbox, "tests/fixtures/slow.c", None);
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    let args = ["run", "--format", "json", "--jobs", "2"];
    let start = || {
        let mut command = sandbox.command(&args);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let both = [start(), start()];
    let mut ran: Vec<String> = Vec::new();
    for child in both {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let events = Events::parse(&text);
        assert_eq!(events.units("hit").len() + events.units("run").len(), 14);
        ran.extend(events.units("run"));
    }
    ran.retain(|unit| unit != "queue" && unit != "cleaned");
    ran.sort();
    let once: Vec<&str> =
        UNITS.into_iter().filter(|unit| *unit != "queue" && *unit != "cleaned").collect();
    assert_eq!(ran, once, "a unit was computed twice");
}

#[test]
fn an_environment_variable_that_changed_is_told_by_its_name() {
    let sandbox = Sandbox::audit();
    sandbox.run(&[]);
    let pipeline = sandbox.read("relabel.yaml");
    sandbox.edit("relabel.yaml", "folds: 5}", "folds: '${env:RELABEL_TEST_FOLDS:-5}'}");
    let with = |value: &str, args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("RELABEL_TEST_FOLDS", value);
        sandbox.outcome(command).ok()
    };
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0], "where a value comes from is in no key");

    let plan = with("4", &["plan", "--format", "json"]).json();
    let units = plan["units"].as_array().unwrap();
    let folds = units.iter().find(|unit| unit["node"] == "folds").unwrap();
    assert_eq!(folds["reason"], "env-changed");
    let text = "k (environment variable RELABEL_TEST_FOLDS): 5 -> 4";
    let wanted = serde_json::json!({
        "code": "env-changed", "text": text,
        "name": "RELABEL_TEST_FOLDS", "path": "k", "old": 5, "new": 4,
    });
    assert_eq!(folds["detail"], wanted);
    let explained = with("4", &["explain", "folds"]).stdout;
    for part in [text, "param:k from ${env:RELABEL_TEST_FOLDS}"] {
        assert!(explained.contains(part), "{explained}");
    }
    let events = Events::parse(&with("4", &["run", "--format", "json"]).stdout);
    assert_eq!(events.reason("folds"), "env-changed");
    assert_eq!(events.unit("folds")["reason_detail"], wanted);

    // Whoever writes another value into the file has changed a parameter.
    sandbox.write("relabel.yaml", pipeline.replace("folds: 5}", "folds: 3}"));
    assert_eq!(with("4", &["plan"]).stdout.matches("k: 4 -> 3").count(), 1);
}
