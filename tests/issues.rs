//! `issues`: confident learning by way of a pipeline.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{Sandbox, records};

const NODE: &str = "  issues: {kind: issues, input: oof, score: normalized_margin}\n  queue:";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "  queue:", NODE);
    sandbox
}

fn flagged(sandbox: &Sandbox) -> BTreeSet<String> {
    let rows = sandbox.frame("issues", &[]);
    let flagged = rows.iter().filter(|row| row["is_label_issue"] == true);
    flagged.map(|row| row["record_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn wrong_labels_are_found() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let wrong: BTreeSet<String> = records(300, 7)
        .into_iter()
        .filter(|record| record.label != record.truth)
        .map(|record| record.id)
        .collect();
    let found = flagged(&sandbox);
    let both = found.intersection(&wrong).count();
    assert!(both * 10 >= wrong.len() * 7, "{both} of {} wrong labels found", wrong.len());
    assert!(both * 10 >= found.len() * 7, "{both} of {} flags are right", found.len());
    let classes = sandbox.frame("issues.classes", &[]);
    assert_eq!(classes.len(), 4);
    assert!(!sandbox.frame("issues.pairs", &[]).is_empty());

    // The joint, and the noise matrices: what each label becomes, and what it comes from.
    let joint = sandbox.frame("issues.joint", &[]);
    let sum = |name: &str, of: &dyn Fn(&serde_json::Value) -> bool| {
        joint.iter().filter(|cell| of(cell)).map(|cell| cell[name].as_f64().unwrap()).sum::<f64>()
    };
    assert!((sum("joint_probability", &|_| true) - 1.0).abs() < 1e-9);
    assert_eq!(sum("calibrated_records", &|_| true), 300.0);
    for class in &classes {
        let name = &class["category"];
        let becomes = sum("noise_probability", &|cell| cell["true_category"] == *name);
        let comes = sum("inverse_noise_probability", &|cell| cell["given_category"] == *name);
        assert!((becomes - 1.0).abs() < 1e-9 && (comes - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn probabilities_may_come_from_another_node() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", "input: oof, score", "input: suspicious, score");
    let missing = "`suspicious` has no port `probabilities`";
    sandbox.relabel(&["check"]).code(2).says(&[missing]);
    let explicit = "input: suspicious, probabilities: oof.probabilities, score";
    sandbox.edit("relabel.yaml", "input: suspicious, score", explicit);
    sandbox.relabel(&["check"]).ok();
}

#[test]
fn labels_are_weighed_and_another_is_proposed() {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "  queue:", "  issues: {kind: issues, input: oof}\n  queue:");
    sandbox.edit("relabel.yaml", "input: suspicious", "input: issues, rank_by: label_quality");
    sandbox.run(&[]);
    let truth: BTreeMap<String, String> =
        records(300, 7).into_iter().map(|record| (record.id, record.truth)).collect();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = sandbox.frame("issues", &[]);
    let mut proposals = BTreeMap::new();
    let (mut wrong, mut right, mut sure) = (0, 0, 0);
    for row in &rows {
        let (id, given) = (text(row, "record_id"), text(row, "given_label"));
        let (quality, proposed) = (row["label_quality"].as_f64(), text(row, "proposed_label"));
        assert!(quality.is_some_and(|quality| (0.0..=1.0).contains(&quality)), "{row}");
        assert_ne!(given, proposed, "{row}");
        if given != truth[&id] {
            wrong += 1;
            right += usize::from(proposed == truth[&id]);
            sure += usize::from(quality < Some(0.5));
        }
        proposals.insert(id, proposed);
    }
    assert!(right * 10 >= wrong * 7, "{right} of {wrong} proposals are right");
    assert!(sure * 10 >= wrong * 6, "{sure} of {wrong} wrong labels are held less likely than not");

    // What a reviewer is asked is what was proposed.
    let queue = sandbox.frame("queue", &[]);
    assert!(!queue.is_empty());
    for item in &queue {
        assert_eq!(text(item, "proposed_label"), proposals[&text(item, "record_id")]);
    }
    let told =
        queue.iter().map(|item| text(item, "reasons")).find(|told| told.contains("proposed"));
    assert!(told.is_some_and(|told| told.starts_with("predicted `")));
}

#[test]
fn only_scores_of_confidences_can_be_adjusted() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", "score: normalized_margin", "adjust_pred_probs: true");
    let told = "`adjust_pred_probs` does not go with this score";
    sandbox.relabel(&["check"]).code(2).says(&[told, "self_confidence"]);
}
