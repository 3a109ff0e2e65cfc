//! Columns beside the text: a classifier learns from those a pipeline names, and from no other.

use crate::support::Sandbox;

const PIPELINE: &str = "\
version: 1
name: columns
nodes:
  records: {kind: source, path: records.csv}
  folds: {kind: kfold, input: records, k: 4}
  oof: {kind: predict, input: folds, classifier: {plugin: linear, columns: [channel, amount]}}
  model: {kind: train, input: records, classifier: {plugin: linear, columns: [channel, amount]}}
  scores: {kind: evaluate, model: [model], gold: records}
";

/// Texts that say nothing; the channel tells the label, and the amount where the channel is missing.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    let mut csv = String::from("record_id,text,label,channel,amount\n");
    for row in 0..400 {
        let class = row / 3 % 2;
        let channel = if row % 4 == 0 { "" } else { ["mail", "shop"][class] };
        let amount = if row % 4 == 1 { "" } else { ["12.5", "4100"][class] };
        csv += &format!("r{row},the same words,{},{channel},{amount}\n", ["a", "b"][class]);
    }
    sandbox.write("records.csv", csv);
    sandbox.write("relabel.yaml", PIPELINE);
    sandbox
}

fn accuracy(sandbox: &Sandbox, args: &[&str]) -> f64 {
    let events = sandbox.run(args);
    let notes = events.unit("oof")["notes"].as_array().unwrap().clone();
    let note = |note: &&serde_json::Value| {
        note["name"].as_str().unwrap() == "out-of-fold accuracy against given labels"
    };
    notes.iter().find(note).unwrap()["value"].as_f64().unwrap()
}

#[test]
fn they_are_learnt_from_out_of_fold_and_in_a_model() {
    let sandbox = sandbox();
    assert!(accuracy(&sandbox, &[]) > 0.99);
    let scores = sandbox.frame("scores", &[]);
    assert!(scores[0]["value"].as_f64().unwrap() > 0.99, "{scores:?}");
    let without = ["--select", "oof", "--set", "nodes.oof.classifier.columns=[]"];
    let chance = accuracy(&sandbox, &without);
    assert!(chance < 0.6, "{chance}");
    // Each tells three quarters; the words of the other are the same for all.
    let one = ["--select", "oof", "--set", "nodes.oof.classifier.columns=[amount]"];
    let one = accuracy(&sandbox, &one);
    assert!((0.7..0.95).contains(&one), "{one}");
}

#[test]
fn another_process_gets_the_same() {
    let sandbox = sandbox();
    sandbox.run(&["--select", "oof"]);
    let probabilities = sandbox.frame("oof.probabilities", &[]);
    let isolated = "nodes.oof.classifier.isolation=process";
    let other = Sandbox::empty();
    other.write("records.csv", sandbox.read("records.csv"));
    other.write("relabel.yaml", PIPELINE);
    other.run(&["--select", "oof", "--set", isolated]);
    assert_eq!(other.frame("oof.probabilities", &["--set", isolated]), probabilities);
}

#[test]
fn auto_tries_with_them() {
    let sandbox = sandbox();
    let auto = ["--set", "nodes.oof.classifier.plugin=auto", "--select", "oof"];
    assert!(accuracy(&sandbox, &auto) > 0.99);
}

#[test]
fn what_cannot_be_given_is_said_at_the_place() {
    let sandbox = sandbox();
    let set = |value: &str| format!("nodes.oof.classifier.columns={value}");
    let refused = |value: &str, words: &[&str]| {
        sandbox.relabel(&["check", "--set", &set(value)]).code(2).says(words);
    };
    refused("[chanel]", &["the records have no column `chanel`", "did you mean `channel`?"]);
    refused("[label]", &["column `label` is not for a classifier to learn from"]);
    refused("[amount, amount]", &["column `amount` is named twice"]);
    let plugin = "nodes.oof.classifier.plugin=majority";
    sandbox
        .relabel(&["check", "--set", plugin])
        .code(2)
        .says(&["plugin `majority` reads the text alone", "leave `columns` out"]);
}

#[test]
fn a_model_says_which_column_its_records_lack() {
    let sandbox = sandbox();
    sandbox.write("gold.csv", "record_id,text,label,channel\ng1,some words,a,mail\n");
    let gold = "  gold: {kind: source, path: gold.csv}\n";
    sandbox.write("relabel.yaml", PIPELINE.replace("gold: records}", "gold: gold}") + gold);
    sandbox
        .relabel(&["run"])
        .code(1)
        .says(&["the records have no column `amount`, which the classifier reads"]);
}
