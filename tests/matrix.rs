//! `matrix:` on a node: N cached units, a comparison, and one variant that is handed on.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Sandbox;

const OOF: &str = "  oof: {kind: predict, input: folds, classifier: {plugin: linear}}";

/// An audit whose `oof` has a matrix, or whatever else is said of it.
fn audit_with(oof: &str) -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", OOF, &format!("  oof: {{kind: predict, input: folds, {oof}}}"));
    sandbox
}

const PLUGINS: &str = "matrix: {classifier.plugin: [majority, linear]}";

#[test]
fn each_variant_is_cached_on_its_own_and_a_new_value_runs_alone() {
    let sandbox = audit_with(PLUGINS);
    let first = sandbox.run(&[]);
    let of =
        |units: Vec<String>, start: &str| units.iter().filter(|u| u.starts_with(start)).count();
    assert_eq!(of(first.units("run"), "oof[plugin=linear]"), 6);
    assert_eq!(of(first.units("run"), "oof[plugin=majority]"), 6);
    assert!(sandbox.run(&[]).units("run").is_empty());
    sandbox.edit("relabel.yaml", "[majority, linear]", "[majority, linear, naive-bayes]");
    let more = sandbox.run(&[]);
    let run = more.units("run");
    assert_eq!(of(more.units("hit"), "oof[plugin=linear]"), 6);
    assert_eq!(of(run.clone(), "oof[plugin=naive-bayes]"), 6);
    assert!(run.contains(&"oof".to_owned()), "{run:?}");
    assert!(!run.iter().any(|unit| unit.starts_with("oof[plugin=majority]")), "{run:?}");
    // Values that go, go alone; their results stay for the day they come back.
    sandbox.edit("relabel.yaml", "[majority, linear, naive-bayes]", "[linear, majority]");
    assert_eq!(of(sandbox.run(&[]).units("run"), "oof["), 0);
}

#[test]
fn a_variant_is_the_node_that_has_these_values() {
    let sandbox = audit_with(PLUGINS);
    sandbox.run(&[]);
    let with_matrix = sandbox.frame("oof", &[]);
    let queued = sandbox.frame("queue", &[]);
    sandbox.edit("relabel.yaml", PLUGINS, "classifier: {plugin: linear}");
    let plain = sandbox.run(&[]);
    assert!(plain.units("run").is_empty(), "{:?}", plain.units("run"));
    assert_eq!(sandbox.frame("oof", &[]), with_matrix);
    assert_eq!(sandbox.frame("queue", &[]), queued);
}

#[test]
fn the_comparison_is_a_frame_and_the_best_is_used() {
    let sandbox = audit_with(PLUGINS);
    let outcome = sandbox.relabel(&["run"]).ok();
    let line = |start: &str| {
        let found = outcome.stderr.lines().find(|line| line.trim().starts_with(start));
        found.unwrap_or_else(|| panic!("{start}: {}", outcome.stderr)).trim().to_owned()
    };
    let header: Vec<String> = line("variant").split_whitespace().map(str::to_owned).collect();
    let wanted = ["variant", "rows", "seconds", "accuracy", "calibration_error", "log_loss"];
    assert_eq!(header, wanted);
    assert!(line("plugin=linear").ends_with("used") && !line("plugin=majority").ends_with("used"));
    let table = sandbox.frame("oof.compare", &[]);
    let variants: Vec<&str> = table.iter().map(|row| row["variant"].as_str().unwrap()).collect();
    assert_eq!(variants, ["plugin=majority", "plugin=linear"]);
    let accuracy = |n: usize| table[n]["accuracy"].as_f64().unwrap();
    assert!(accuracy(1) > accuracy(0) + 0.3, "{table:?}");
    assert_eq!((&table[0]["used"], &table[1]["used"]), (&false.into(), &true.into()));
    assert_eq!((&table[1]["plugin"], &table[1]["rows"]), (&"linear".into(), &300.into()));
    // The figures are those of the variant.
    let events = sandbox.run(&["--force", "oof"]);
    let notes = events.unit("oof[plugin=linear]")["notes"].to_string();
    let value = format!("{:.6}", accuracy(1));
    assert!(notes.contains(&value[..6]), "{value} {notes}");
    assert_eq!(sandbox.frame("oof.compare", &[]), table);
}

#[test]
fn what_is_handed_on_can_be_chosen_and_variants_can_be_read() {
    let sandbox = audit_with(&format!("{PLUGINS}, use: plugin=majority"));
    let text = sandbox.read("relabel.yaml");
    let more = "  sure: {kind: filter, input: 'oof[plugin=linear]', where: prediction_confidence > 0}\n  \
                sums: {kind: filter, input: 'oof[plugin=linear].probabilities', where: billing >= 0}\n  \
                good: {kind: filter, input: oof.compare, where: accuracy > 0.5}\n";
    sandbox.write("relabel.yaml", text + more);
    sandbox.run(&[]);
    let model =
        |node: &str| sandbox.frame(node, &[])[0]["model_version"].as_str().unwrap().to_owned();
    assert!(model("oof").starts_with("majority "));
    assert!(model("sure").starts_with("linear "));
    assert!(model("oof[plugin=linear]").starts_with("linear "));
    assert_eq!(sandbox.frame("sums", &[]).len(), 300);
    assert_eq!(sandbox.frame("good", &[]).len(), 1);
    sandbox.edit("relabel.yaml", "use: plugin=majority", "use: accuracy");
    let other = sandbox.run(&[]);
    assert_eq!(other.reason("oof"), "params-changed");
    assert!(!other.units("run").iter().any(|unit| unit.starts_with("oof[")));
    assert!(model("oof").starts_with("linear "));
    // Least is best of a loss.
    sandbox.edit("relabel.yaml", "use: accuracy", "use: log_loss");
    sandbox.run(&[]);
    let table = sandbox.frame("oof.compare", &[]);
    let loss = |n: usize| table[n]["log_loss"].as_f64().unwrap();
    let best = if loss(0) <= loss(1) { 0 } else { 1 };
    assert_eq!(table[best]["used"], true, "{table:?}");
}

#[test]
fn several_parameters_are_combined_and_plan_and_explain_know_them() {
    let matrix = "matrix: {classifier.plugin: [linear], classifier.params.word_ngrams: [1, 2]}";
    let sandbox = audit_with(matrix);
    sandbox.run(&[]);
    let table = sandbox.frame("oof.compare", &[]);
    let names: Vec<&str> = table.iter().map(|row| row["variant"].as_str().unwrap()).collect();
    assert_eq!(names, ["word_ngrams=1,plugin=linear", "word_ngrams=2,plugin=linear"]);
    assert_eq!(table[1]["word_ngrams"].as_f64(), Some(2.0));
    sandbox.edit("relabel.yaml", "[1, 2]", "[1, 3]");
    let plan = sandbox.relabel(&["plan", "--format", "json"]).ok().json();
    let units = plan["units"].as_array().unwrap();
    let state = |node: &str| {
        units.iter().find(|unit| unit["node"] == node && unit["part"] == "whole").unwrap()["state"]
            .clone()
    };
    assert_eq!(state("oof[word_ngrams=1,plugin=linear]"), "hit");
    assert_eq!(state("oof[word_ngrams=3,plugin=linear]"), "maybe");
    assert_eq!(state("oof"), "maybe");
    let explained = sandbox.relabel(&["explain", "oof[word_ngrams=1,plugin=linear][2]"]).ok();
    assert!(explained.out().contains("fold 2 of 5"), "{}", explained.out());
    let graph = sandbox.relabel(&["graph"]).ok();
    assert!(graph.out().contains("oof (predict, 2 variants)"), "{}", graph.out());
    assert!(!graph.out().contains("word_ngrams"), "{}", graph.out());
    let wrong = sandbox.relabel(&["explain", "oof[word_ngrams=9]"]).code(2);
    assert!(wrong.err().contains("oof[word_ngrams=3,plugin=linear]"), "{}", wrong.err());
}

#[test]
fn a_kind_without_a_metric_needs_to_be_told_what_to_hand_on() {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "k: '${params.folds}', seed: 42", "matrix: {k: [3, 4]}");
    let refused = sandbox.relabel(&["check"]).code(2);
    assert_snapshot!(refused.err(), @r"
    error: `folds` has a matrix and does not say which variant others read
      --> relabel.yaml:11:31
       |
    11 |   oof: {kind: predict, input: folds, classifier: {plugin: linear}}
       |                               ^^^^^
    hint: read `folds[k=3]`, or put `use: k=3` into `folds`

    error: 1 problem in relabel.yaml; nothing was run
    ");
    sandbox.edit("relabel.yaml", "input: folds,", "input: 'folds[k=4]',");
    let events = sandbox.run(&[]);
    assert!(events.units("run").contains(&"oof[3]".to_owned()));
    assert!(!events.units("run").contains(&"oof[4]".to_owned()));
    let table = sandbox.frame("folds", &[]);
    assert_eq!((table.len(), &table[0]["used"]), (2, &false.into()));
}

#[track_caller]
fn errors(oof: &str, more: &str) -> String {
    let sandbox = audit_with(oof);
    let text = sandbox.read("relabel.yaml");
    sandbox.write("relabel.yaml", text + more);
    sandbox.relabel(&["check"]).code(2).err().to_owned()
}

#[test]
fn what_is_wrong_is_said_where_it_is_and_once() {
    assert_snapshot!(errors("matrix: {classifier.plugin: [linear, linaer]}", ""), @r"
    error: node `oof[plugin=linaer]`: no plugin `linaer`
      --> relabel.yaml:11:75
       |
    11 |   oof: {kind: predict, input: folds, matrix: {classifier.plugin: [linear, linaer]}}
       |                                                                           ^^^^^^
    hint: did you mean `linear`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    assert_snapshot!(errors(&format!("{PLUGINS}, seeed: 3"), ""), @r"
    error: node `oof`: unknown key `seeed`
      --> relabel.yaml:11:87
       |
    11 |   oof: {kind: predict, input: folds, matrix: {classifier.plugin: [majority, linear]}, seeed: 3}
       |                                                                                       ^^^^^
    hint: did you mean `seed`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    assert_snapshot!(errors("classifier: {plugin: linear}, matrix: {seed: 3}", ""), @r"
    error: node `oof`: `matrix` needs a list of values for `seed`, not a number
      --> relabel.yaml:11:83
       |
    11 |   oof: {kind: predict, input: folds, classifier: {plugin: linear}, matrix: {seed: 3}}
       |                                                                                   ^

    error: 1 problem in relabel.yaml; nothing was run
    ");
    assert_snapshot!(errors(&format!("{PLUGINS}, use: plugin=linea"), ""), @r"
    error: node `oof`: `use: plugin=linea` is neither a variant of its matrix nor a metric
      --> relabel.yaml:11:92
       |
    11 |   oof: {kind: predict, input: folds, matrix: {classifier.plugin: [majority, linear]}, use: plugin=linea}
       |                                                                                            ^^^^^^^^^^^^
    hint: did you mean `plugin=linear`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    assert_snapshot!(errors("classifier: {plugin: linear}, use: accuracy", ""), @r"
    error: node `oof`: `use` chooses from a `matrix`, and there is none
      --> relabel.yaml:11:73
       |
    11 |   oof: {kind: predict, input: folds, classifier: {plugin: linear}, use: accuracy}
       |                                                                         ^^^^^^^^

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let many: Vec<String> = (0..257).map(|n| n.to_string()).collect();
    let many = format!("classifier: {{plugin: linear}}, matrix: {{seed: [{}]}}", many.join(", "));
    assert!(errors(&many, "").contains("the matrix has 257 combinations; 256 is the most"));
}

#[test]
fn what_reads_or_writes_a_matrix_wrongly_is_refused() {
    let reader = "  far: {kind: filter, input: 'oof[plugin=linaer]', where: text_valid}\n";
    assert_snapshot!(errors(PLUGINS, reader), @r"
    error: `input` reads `oof[plugin=linaer]`, which is no variant of `oof`
      --> relabel.yaml:20:30
       |
    20 |   far: {kind: filter, input: 'oof[plugin=linaer]', where: text_valid}
       |                              ^^^^^^^^^^^^^^^^^^^^
    hint: did you mean `plugin=linear`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let sink =
        "  twice: {kind: export, input: current, path: x.csv, matrix: {path: [a.csv, b.csv]}}\n";
    assert_snapshot!(errors(PLUGINS, sink), @r"
    error: node `twice`: a node of kind `export` writes to one place and cannot have a matrix
      --> relabel.yaml:20:54
       |
    20 |   twice: {kind: export, input: current, path: x.csv, matrix: {path: [a.csv, b.csv]}}
       |                                                      ^^^^^^

    error: 1 problem in relabel.yaml; nothing was run
    ");
}

#[test]
fn a_lost_artifact_of_the_variant_in_use_is_made_again() {
    let sandbox = audit_with(PLUGINS);
    sandbox.run(&[]);
    let before = sandbox.frame("oof", &[]);
    for folder in std::fs::read_dir(sandbox.path(".relabel/objects-v1")).unwrap() {
        for blob in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            std::fs::remove_file(blob.unwrap().path()).unwrap();
        }
    }
    let again = sandbox.run(&[]);
    assert_eq!(again.reason("oof"), "output-missing");
    assert_eq!(sandbox.frame("oof", &[]), before);
    assert!(sandbox.run(&[]).units("run").is_empty());
}

#[test]
fn a_matrix_is_set_from_the_command_line() {
    let variants = |sandbox: &Sandbox, set: &str| -> Vec<String> {
        let planned = sandbox.relabel(&["plan", "--format", "json", "--set", set]).ok().json();
        let units = planned["units"].as_array().unwrap().iter();
        let whole = units.filter(|u| u["variant"]["node"] == "oof" && u["part"] == "whole");
        let mut names: Vec<String> =
            whole.map(|unit| unit["variant"]["name"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        names
    };
    let sandbox = audit_with(PLUGINS);
    let set = "nodes.oof.matrix.classifier.plugin=[linear, naive-bayes]";
    assert_eq!(variants(&sandbox, set), ["plugin=linear", "plugin=naive-bayes"]);
    let more = variants(&sandbox, "nodes.oof.matrix.seed=[1, 2]");
    assert_eq!(more.len(), 4, "{more:?}");
    // A node without a matrix gets one.
    let plain = Sandbox::audit();
    let set = "nodes.oof.matrix.classifier.params.c=[1, 10]";
    assert_eq!(variants(&plain, set), ["c=1", "c=10"]);
    let wrong =
        plain.relabel(&["plan", "--set", "nodes.oof.matrix.classifer.plugin=[knn]"]).code(2);
    wrong.says(&["classifer"]);
}

#[test]
fn documents_name_the_variant_beside_the_node() {
    let sandbox = audit_with(PLUGINS);
    let of_unit = |unit: &Value| (unit["node"].clone(), unit["variant"].clone());
    let linear = json!({ "node": "oof", "name": "plugin=linear" });
    let run = sandbox.run(&[]);
    let folds = (json!("folds"), Value::Null);
    assert_eq!(
        of_unit(run.unit("oof[plugin=linear]")),
        (json!("oof[plugin=linear]"), linear.clone())
    );
    assert_eq!(of_unit(run.unit("folds")), folds);
    let shown = sandbox.relabel(&["runs", "show", "last", "--format", "json"]).ok().json();
    let units: Vec<_> = shown["units"].as_array().unwrap().iter().map(of_unit).collect();
    assert!(units.contains(&(json!("oof[plugin=linear]"), linear)) && units.contains(&folds));
}
