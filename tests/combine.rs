//! `combine`: several models of the same records as one.

use serde_json::Value;

use crate::support::Sandbox;

const NODES: &str = "  other: {kind: predict, input: folds, classifier: {plugin: naive-bayes}}
  both: {kind: combine, input: [oof, other], weights: log_loss}
  queue:";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "  queue:", NODES);
    sandbox.edit("relabel.yaml", "    input: oof\n", "    input: both\n");
    sandbox
}

#[test]
fn votes_and_weights_are_kept() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", "and text_valid", "and models_agree and text_valid");
    sandbox.run(&[]);
    let (one, other) = (sandbox.frame("oof", &[]), sandbox.frame("other", &[]));
    let both = sandbox.frame("both", &[]);
    assert_eq!(both.len(), 300);
    for ((row, one), other) in both.iter().zip(&one).zip(&other) {
        assert_eq!(row["vote_1"], one["predicted_label"]);
        assert_eq!(row["vote_2"], other["predicted_label"]);
        assert_eq!(row["given_label"], one["given_label"]);
        let agree = row["vote_1"] == row["vote_2"] && row["vote_1"] != row["given_label"];
        assert_eq!(row["models_agree"], agree, "{row}");
        let agreeing = ["vote_1", "vote_2"].iter().filter(|v| row[**v] == row["predicted_label"]);
        assert_eq!(row["models_agreeing"], agreeing.count());
    }
    let suspicious = sandbox.frame("suspicious", &[]);
    assert!(!suspicious.is_empty());
    assert!(suspicious.iter().all(|row| row["models_agree"] == true));
    assert_eq!(sandbox.frame("queue", &[]).len(), suspicious.len());
    let models = sandbox.frame("both.models", &[]);
    let weights: f64 = models.iter().map(|model| model["weight"].as_f64().unwrap()).sum();
    assert!(models.len() == 2 && (weights - 1.0).abs() < 1e-9);
    assert_eq!(models[1]["model_version"], other[0]["model_version"]);
}

#[test]
fn probabilities_are_the_weighted_mean() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", "weights: log_loss", "weights: [1, 3]");
    sandbox.run(&["--select", "+both"]);
    let frame = |node: &str| sandbox.frame(&format!("{node}.probabilities"), &[]);
    let rows = frame("both");
    assert_eq!(rows.len(), 300);
    for ((row, one), other) in rows.iter().zip(frame("oof")).zip(frame("other")) {
        assert_eq!(row["record_id"], one["record_id"]);
        for name in ["account", "technical"] {
            let value = |row: &Value| row[name].as_f64().unwrap();
            let wanted = 0.25 * value(&one) + 0.75 * value(&other);
            assert!((value(row) - wanted).abs() < 1e-6);
        }
    }
    // Issues take the probabilities of the combination as those of any prediction.
    sandbox.edit("relabel.yaml", "  queue:", "  issues: {kind: issues, input: both}\n  queue:");
    sandbox.run(&["--select", "issues"]);
}

#[test]
fn what_does_not_fit_together_is_said() {
    let sandbox = sandbox();
    let check = |from: &str, to: &str| {
        let text = sandbox.read("relabel.yaml");
        sandbox.edit("relabel.yaml", from, to);
        let outcome = sandbox.relabel(&["check"]).code(2);
        sandbox.write("relabel.yaml", text);
        outcome
    };
    check("[oof, other]", "oof").says(&["two models or more", "relabel.yaml:"]);
    check("log_loss", "[1, 2, 3]").says(&["3 weights for 2 models"]);
    check("log_loss", "[1, -2]").says(&["a weight must be 0 or more"]);
    check("[oof, other]", "[oof, folds]").says(&["`folds` has no port `probabilities`"]);
    let few = "{kind: predict, input: few, classifier: {plugin: majority}}
  some: {kind: filter, input: current, where: \"record_id != 'r0007'\"}
  few: {kind: kfold, input: some}";
    let other = "{kind: predict, input: folds, classifier: {plugin: naive-bayes}}";
    sandbox.edit("relabel.yaml", other, few);
    let said = "record `r0007` of `oof` is not in `other`";
    sandbox.relabel(&["run"]).code(1).says(&[said]);
}

#[test]
fn weights_that_are_none_are_told_with_what_could_stand_there() {
    let check = |weights: &str| {
        let sandbox = sandbox();
        sandbox.edit("relabel.yaml", "weights: log_loss", &format!("weights: {weights}"));
        sandbox.relabel(&["check"]).code(2)
    };
    let choices = "choices: `mean`, `log_loss`, a list of numbers";
    check("log_los").says(&["`weights` is \"log_los\", which is not a choice", "relabel.yaml:"]);
    check("log_los").says(&["did you mean `log_loss`?", choices]);
    check("3").says(&["`weights` is 3, which is not a choice", choices]);
    check("[1, much]").says(&["must be of type number, not \"much\"", "relabel.yaml:"]);
    check("[1, 2, 3]").says(&["3 weights for 2 models"]);
}
