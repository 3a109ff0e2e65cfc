//! `auto`: which classifier and parameters suit the data is found out once, reported and cached.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::rows::ids;
use crate::support::{Random, Sandbox};

const AMONG: &str = "nodes.oof.classifier.among=[majority, linear]";
const AUTO: &str = "nodes.oof.classifier.plugin=auto";
const COMMON: [&str; 8] = ["home", "later", "dinner", "sorry", "ok", "see", "mum", "work"];
const RARE: [&str; 4] = ["win", "prize", "claim", "free"];
const RANKED: &str = "version: 1
name: ranked
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records, text: {min_chars: 1, max_chars: 1000}}
  folds: {kind: kfold, input: valid, k: 5, seed: 42}
  oof: {kind: predict, input: folds, classifier: {plugin: linear, params: auto}}
  ranked: {kind: issues, input: oof}
";

#[test]
fn the_better_plugin_is_chosen_and_what_was_tried_is_told() {
    let sandbox = Sandbox::audit();
    let events = sandbox.run(&["--set", AUTO, "--set", AMONG]);
    let choice = events.unit("oof[choice]");
    assert_eq!(choice["state"], "run");
    let notes = choice["notes"].as_array().unwrap();
    let named = |start: &str| {
        let is_named = |note: &&Value| note["name"].as_str().unwrap().starts_with(start);
        notes.iter().find(is_named).unwrap_or_else(|| panic!("{start}: {notes:?}")).clone()
    };
    let value = |start: &str| named(start)["value"].as_f64().unwrap();
    assert!(value("accuracy of linear") > value("accuracy of majority") + 0.3);
    let chosen = notes.iter().filter(|n| n["name"].as_str().unwrap().ends_with(", chosen"));
    let chosen: Vec<_> = chosen.map(|n| n["name"].as_str().unwrap()).collect();
    assert_eq!(chosen.len(), 1, "{chosen:?}");
    assert!(chosen[0].starts_with("accuracy of linear "), "{chosen:?}");
    let table = sandbox.frame("oof.choice", &["--set", AUTO, "--set", AMONG]);
    assert_eq!(table[0]["plugin"], "majority");
    assert_eq!(table.iter().filter(|row| row["chosen"] == true).count(), 1);
    assert!(table.iter().all(|row| row["accuracy"].as_f64().is_some()), "{table:?}");
    let model = sandbox.frame("oof", &["--set", AUTO, "--set", AMONG])[0]["model_version"].clone();
    assert!(model.as_str().unwrap().starts_with("linear "), "{model}");
}

#[test]
fn a_choice_is_cached_and_folds_run_again_only_if_it_falls_otherwise() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--set", AUTO, "--set", AMONG]);
    let again = sandbox.run(&["--set", AUTO, "--set", AMONG]);
    assert!(again.units("run").is_empty(), "{:?}", again.units("run"));
    // One candidate fewer, and the same choice.
    let fewer = "nodes.oof.classifier.among=[linear]";
    let fewer = sandbox.run(&["--set", AUTO, "--set", fewer]);
    assert_eq!(fewer.units("run"), ["oof", "oof[choice]"]);
    let other = sandbox.run(&["--set", AUTO, "--set", "nodes.oof.classifier.among=[majority]"]);
    assert!(other.units("run").contains(&"oof[3]".to_owned()), "{:?}", other.units("run"));
}

#[test]
fn parameters_alone_may_be_chosen() {
    let sandbox = Sandbox::audit();
    let auto = "nodes.oof.classifier.params=auto";
    sandbox.run(&["--set", auto]);
    let table = sandbox.frame("oof.choice", &["--set", auto]);
    assert!(table.len() > 1 && table.iter().all(|row| row["plugin"] == "linear"), "{table:?}");
    let trained =
        "\n  model: {kind: train, input: valid, classifier: {plugin: linear, params: auto}}\n";
    let pipeline = sandbox.read("relabel.yaml") + trained.trim_start_matches('\n');
    sandbox.write("relabel.yaml", pipeline);
    let model = sandbox.run(&["--select", "model"]).unit("model").clone();
    let notes = model["notes"].as_array().unwrap().len();
    assert!(notes > 2, "{model}");
}

#[test]
fn a_failing_candidate_does_not_stop_the_others() {
    let sandbox = Sandbox::audit();
    crate::support::plugins::compile(
        &sandbox,
        "runner/plugin-host/tests/fixtures/broken.c",
        Some("BREAK_FIT"),
    );
    let among = "nodes.oof.classifier.among=[plugin-in-c, linear]";
    let events = sandbox.run(&["--set", AUTO, "--set", among]);
    let notes = events.unit("oof[choice]")["notes"].to_string();
    assert!(notes.contains("plugin-in-c {} could not be tried"), "{notes}");
    assert!(notes.contains("the moon is in the wrong place"), "{notes}");
}

#[test]
fn what_makes_no_sense_is_said_at_the_place() {
    let sandbox = Sandbox::audit();
    let says = |sets: &[&str], words: &[&str]| {
        let mut args = vec!["check"];
        sets.iter().for_each(|set| args.extend(["--set", set]));
        sandbox.relabel(&args).code(2).says(words);
    };
    let majority = "nodes.oof.classifier.plugin=majority";
    let params = "nodes.oof.classifier.params=auto";
    says(&[majority, params], &["plugin `majority` proposes no parameters for `auto`"]);
    says(&[AUTO, "nodes.oof.classifier.params={c: 1.0}"], &["chooses the parameters too"]);
    says(&[AMONG], &["`among` goes with `plugin: auto`"]);
    let typo = "nodes.oof.classifier.among=[lineal]";
    says(&[AUTO, typo], &["no plugin `lineal`", "did you mean `linear`?"]);
    says(&[AUTO, "nodes.oof.classifier.among=[]"], &["no plugin is named"]);
}

/// Two classes, of which one has an eighth of the records, and three labels of ten wrong: most that
/// are given the rare class are of the other, and a model that believes them finds little.
#[test]
fn many_wrong_labels_of_a_rare_class_are_found() {
    let mut random = Random(7);
    let (mut csv, mut wrong) = ("record_id,text,label\n".to_owned(), BTreeSet::new());
    for n in 0..2000 {
        let rare = n % 8 == 0;
        let words: &[&str] = if rare { &RARE } else { &COMMON };
        let any = (0..8).map(|_| format!("w{}", random.below(1500).min(random.below(1500))));
        let mut text: Vec<String> = any.collect();
        let telling = 1 + usize::from(rare);
        text.extend((0..telling).map(|_| words[random.below(words.len())].to_owned()));
        let is_wrong = random.below(10) < 3;
        let label = if rare == is_wrong { "ham" } else { "spam" };
        csv.push_str(&format!("r{n},{},{label}\n", text.join(" ")));
        wrong.extend(is_wrong.then(|| format!("r{n}")));
    }
    let sandbox = Sandbox::empty();
    sandbox.write("records.csv", csv);
    sandbox.write("relabel.yaml", RANKED);
    sandbox.run(&[]);
    let mut rows = sandbox.frame("ranked", &[]);
    let quality = |row: &Value| row["label_quality"].as_f64().unwrap();
    rows.sort_by(|a, b| quality(a).total_cmp(&quality(b)));
    let found = ids(&rows[..wrong.len()]).intersection(&wrong).count();
    assert!(found * 10 > wrong.len() * 9, "{found} of {}", wrong.len());
}
