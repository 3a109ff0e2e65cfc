//! `issues`: confident learning by way of a pipeline.

use std::collections::BTreeSet;

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
