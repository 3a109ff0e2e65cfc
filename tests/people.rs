//! Several reviewers on one record: votes, consensus, and how good each reviewer is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::rows::text;
use crate::support::{Sandbox, reviewer};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    let node = "  people: {kind: agreement, input: decided.votes, probabilities: oof.probabilities}
  queue:";
    sandbox.edit("relabel.yaml", "  queue:", node);
    sandbox
}

/// Ann and bo know the truth, cy always takes the proposal, and dee keeps what is given.
fn decisions(queue: &[Value]) -> String {
    let truth = reviewer::truth(300, 7);
    let mut csv = "record_id,review_decision,final_label,reviewed_by,reviewed_at\n".to_owned();
    for (n, item) in queue.iter().enumerate() {
        let id = text(item, "record_id");
        let right = &truth[id];
        let (word, label) = reviewer::verdict(item, right);
        csv.push_str(&format!("{id},{word},{label},ann,2025-03-01T10:00:00Z\n"));
        csv.push_str(&format!("{id},{word},{label},bo,2025-03-01T11:00:00Z\n"));
        csv.push_str(&format!("{id},accept,,cy,2025-03-01T12:00:00Z\n"));
        if n % 2 == 0 {
            csv.push_str(&format!("{id},keep,,dee,2025-03-01T13:00:00Z\n"));
        }
    }
    csv
}

#[test]
fn reviewers_are_weighed_against_each_other() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    assert!(sandbox.frame("people", &[]).is_empty(), "nobody has said anything");
    let queue = sandbox.frame("queue", &[]);
    sandbox.write("decisions.csv", decisions(&queue));
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    sandbox.run(&[]);

    let votes = sandbox.frame("decided.votes", &[]);
    assert_eq!(votes.len(), 3 * queue.len() + queue.len().div_ceil(2));
    let people = sandbox.frame("people.reviewers", &[]);
    let quality: BTreeMap<&str, f64> = people
        .iter()
        .map(|row| (text(row, "reviewed_by"), row["quality"].as_f64().unwrap()))
        .collect();
    assert_eq!(quality.keys().copied().collect::<Vec<_>>(), ["ann", "bo", "cy", "dee"]);
    assert!(quality["ann"] > quality["dee"] + 0.2 && quality["cy"] > quality["dee"], "{quality:?}");

    let truth = reviewer::truth(300, 7);
    let rows = sandbox.frame("people", &[]);
    assert_eq!(rows.len(), queue.len());
    let right = |row: &&Value| text(row, "consensus_label") == truth[text(row, "record_id")];
    let hits = rows.iter().filter(right).count();
    assert!(hits * 10 >= rows.len() * 9, "{hits} of {}", rows.len());

    let statistics = sandbox.frame("people.statistics", &[]);
    let of = |name: &str| statistics.iter().find(|row| row["measure"] == name).unwrap();
    let kappa = of("cohen kappa of ann and bo");
    assert!((kappa["estimate"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{kappa}");
    let alpha = of("krippendorff alpha");
    let number = |name: &str| alpha[name].as_f64().unwrap();
    assert!(number("low") < number("estimate") && number("estimate") < number("high"), "{alpha}");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);

    // Quality has an interval, and the status of the review shows all of it.
    let ann = people.iter().find(|row| text(row, "reviewed_by") == "ann").unwrap();
    let bound = |name: &str| ann[name].as_f64().unwrap();
    assert!(bound("quality_low") <= bound("quality") && bound("quality") <= bound("quality_high"));
    assert!(bound("quality_high") - bound("quality_low") < 0.5, "{ann}");
    let status = sandbox.relabel(&["review", "status"]).ok();
    let told =
        ["people.reviewers: ", "quality_low", "krippendorff alpha", "cohen kappa of ann and bo"];
    assert!(told.iter().all(|words| status.out().contains(words)), "{}", status.out());
    let json = sandbox.relabel(&["review", "status", "--format", "json"]).ok().json();
    assert_eq!(json["nodes"]["people.reviewers"].as_array().unwrap(), &people);

    // A decision more, and what was computed before it is not shown.
    let last = format!("{},keep,eve,2025-03-02T10:00:00Z\n", text(&queue[0], "record_id"));
    let header = "record_id,review_decision,reviewed_by,reviewed_at\n";
    sandbox.write("more.csv", format!("{header}{last}"));
    sandbox.relabel(&["review", "import", "more.csv"]).ok();
    let status = sandbox.relabel(&["review", "status"]).ok();
    status.says(&["`people.reviewers` is older than the decisions; `relabel run` renews it"]);
}

#[test]
fn a_vote_taken_back_is_no_vote() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let queue = sandbox.frame("queue", &[]);
    let id = text(&queue[0], "record_id");
    sandbox.write(
        "decisions.csv",
        format!(
            "record_id,review_decision,reviewed_by,reviewed_at\n\
             {id},accept,ann,2025-03-01T10:00:00Z\n\
             {id},keep,ann,2025-03-01T10:30:00Z\n\
             {id},keep,bo,2025-03-01T11:00:00Z\n\
             {id},undo,bo,2025-03-01T12:00:00Z\n"
        ),
    );
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    sandbox.run(&[]);
    let votes = sandbox.frame("decided.votes", &[]);
    assert_eq!(votes.len(), 1, "{votes:?}");
    assert_eq!(
        (text(&votes[0], "reviewed_by"), text(&votes[0], "review_decision")),
        ("ann", "keep")
    );
}
