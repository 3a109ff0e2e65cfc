//! Lanes of `filter`: what they take, what they say, and what they learn from decisions.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::rows::{ids, text};
use crate::support::{Events, Sandbox, records, reviewer, to_csv};

const RECORDS: usize = 1200;

const LANES: &str = "  issues: {kind: issues, input: oof, score: normalized_margin}
  suspicious:
    kind: filter
    input: issues
    decisions: decided
    where: text_valid and predicted_in_taxonomy and predicted_label != given_label
    lanes:
      - {name: strict, rule: strict, where: 'prediction_confidence > 0.95', budget: 8}
      - {name: adaptive, rule: adaptive, budget: 10}
      - {name: next, rule: ranked, rank_by: label_quality, budget: 5}
  queue:";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", to_csv(&records(RECORDS, 7)));
    let text = sandbox.read("relabel.yaml");
    let (before, rest) = text.split_once("  suspicious:").unwrap();
    let (_, after) = rest.split_once("  queue:").unwrap();
    sandbox.write("relabel.yaml", format!("{before}{LANES}{after}"));
    sandbox
}

/// The count or value of the note whose text starts so.
fn note(events: &Events, unit: &str, starts: &str) -> Option<f64> {
    let notes = events.unit(unit)["notes"].as_array().cloned().unwrap_or_default();
    let said = |note: &Value, key: &str| note[key].as_str().is_some_and(|t| t.starts_with(starts));
    let found = notes.into_iter().find(|note| said(note, "text") || said(note, "name"))?;
    found["count"].as_f64().or_else(|| found["value"].as_f64())
}

/// Decides every queued item by the truth.
fn review(sandbox: &Sandbox, queue: &[Value], hour: u32) {
    let truth = reviewer::truth(RECORDS, 7);
    let mut csv = "record_id,review_decision,final_label,reviewed_by,reviewed_at\n".to_owned();
    for item in queue {
        let (id, right) = (text(item, "record_id"), &truth[text(item, "record_id")]);
        let (word, label) = reviewer::verdict(item, right);
        csv.push_str(&format!("{id},{word},{label},ann,2025-03-01T{hour:02}:00:00Z\n"));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
}

#[test]
fn a_record_is_in_the_first_lane_that_takes_it() {
    let sandbox = sandbox();
    let events = sandbox.run(&[]);
    let rows = sandbox.frame("suspicious", &[]);
    let mut lanes: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        lanes.entry(text(row, "lane")).or_default().push(row);
    }
    for (lane, rows) in &lanes {
        assert_eq!(
            note(&events, "suspicious", &format!("in lane `{lane}`")),
            Some(rows.len() as f64)
        );
    }
    let budgets = [("strict", 8), ("adaptive", 10), ("next", 5)];
    assert!(budgets.iter().all(|(lane, budget)| lanes[lane].len() <= *budget), "{lanes:?}");
    assert!(lanes["adaptive"].len() > 2 && lanes["next"].len() > 1, "{lanes:?}");
    for row in &rows {
        let (given, predicted) = (text(row, "given_label"), text(row, "predicted_label"));
        let confidence = row["prediction_confidence"].as_f64().unwrap();
        let reason = text(row, "reason");
        // The same sentence in every lane, or a reviewer could tell control rows from the rest.
        let start = format!("predicted `{predicted}` with {confidence:.2} (its threshold is 0.");
        assert!(reason.starts_with(&start), "{reason}: {start}");
        assert!(reason.contains(&format!(", given label `{given}` has 0.")), "{reason}");
        assert!(text(row, "lane") != "strict" || confidence > 0.95);
    }

    // The reason goes with the item.
    let reasons: BTreeMap<&str, &str> =
        rows.iter().map(|row| (text(row, "record_id"), text(row, "reason"))).collect();
    for item in sandbox.frame("queue", &[]) {
        assert_eq!(reasons[text(&item, "record_id")], text(&item, "reasons"));
    }
}

#[test]
fn lanes_learn_from_decisions() {
    let sandbox = sandbox();
    let first = sandbox.run(&[]);
    let expected = "expected precision of lane";
    assert_eq!(note(&first, "suspicious", expected), None, "there are no decisions");
    let queue = sandbox.frame("queue", &[]);
    review(&sandbox, &queue, 10);
    let second = sandbox.run(&[]);
    let precision = note(&second, "suspicious", expected).unwrap();
    assert!((0.3..1.0).contains(&precision), "{precision}");
    let shown = sandbox.relabel(&["show", "suspicious"]).ok();
    shown.says(&["in lane `adaptive`", &format!("{precision:.4}  {expected}")]);
    let decided = note(&second, "suspicious", "decided before in lane `strict`").unwrap();
    assert!((1.0..=8.0).contains(&decided), "{decided}");
    let rows = sandbox.frame("suspicious", &[]);
    assert!(rows.iter().all(|row| row["expected_quality"].is_f64()));
    let seen: Vec<&str> = queue.iter().map(|item| text(item, "record_id")).collect();
    assert!(rows.iter().all(|row| !seen.contains(&text(row, "record_id"))));

    // What is learnt follows from the ledger: another decision, another result.
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    sandbox.edit("relabel.yaml", "rank_by: label_quality", "rank_by: expected_quality");
    let next = || {
        sandbox.run(&[]);
        let mut rows = sandbox.frame("suspicious", &[]);
        rows.retain(|row| text(row, "lane") == "next");
        rows
    };
    let taken = next();
    sandbox.edit("relabel.yaml", "budget: 5}", "budget: 500}");
    let mut all = next();
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
    let margin =
        |row: &Value| number(row, "given_confidence") - number(row, "prediction_confidence");
    let rank = |row: &Value| (number(row, "expected_quality"), margin(row));
    all.sort_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap());
    assert!(all.len() > taken.len() && taken.len() == 5, "{} {}", all.len(), taken.len());
    assert_eq!(ids(&taken), ids(&all[..5]));
}

#[test]
fn kept_labels_are_in_no_lane() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let queue = sandbox.frame("queue", &[]);
    let mut csv = "record_id,review_decision,reviewed_by,reviewed_at\n".to_owned();
    for item in &queue {
        csv.push_str(&format!("{},keep,ann,2025-03-01T10:00:00Z\n", text(item, "record_id")));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    let events = sandbox.run(&[]);
    let verified = note(&events, "suspicious", "verified before, in no lane").unwrap();
    assert!(verified > 10.0, "{verified}");
    let seen: Vec<&str> = queue.iter().map(|item| text(item, "record_id")).collect();
    let rows = sandbox.frame("suspicious", &[]);
    assert!(rows.iter().all(|row| !seen.contains(&text(row, "record_id"))), "{rows:?}");
}

#[test]
fn what_is_wrong_with_lanes_is_told_with_its_place() {
    let check = |from: &str, to: &str| {
        let sandbox = sandbox();
        sandbox.edit("relabel.yaml", from, to);
        sandbox.relabel(&["check"]).code(2)
    };
    check("name: next, rule: ranked", "name: next, rul: ranked").says(&[
        "unknown key `rul`",
        "did you mean `rule`?",
        "relabel.yaml:21:",
    ]);
    check("rule: adaptive", "rule: adaptable")
        .says(&["did you mean `adaptive`?", "relabel.yaml:20:"]);
    check("name: next", "name: strict").says(&["there are two lanes `strict`", "relabel.yaml:21:"]);
    check("rank_by: label_quality", "rank_by: label_qualty")
        .says(&["no column `label_qualty` here", "did you mean `label_quality`?"]);
    check("rank_by: label_quality", "rank_by: given_label")
        .says(&["is of type string, not a number"]);
    check("'prediction_confidence > 0.95'", "'prediction_confidense > 0.95'")
        .says(&["did you mean `prediction_confidence`?", "relabel.yaml:19:45"]);
    check("where: 'prediction_confidence > 0.95', budget", "budget")
        .says(&["lane `strict` is `strict` and needs a `where`"]);
    check("rank_by: label_quality, budget: 5", "rank_by: label_quality")
        .says(&["lane `next` is `ranked` and needs a `budget`"]);
    let learnt = sandbox();
    learnt.edit("relabel.yaml", "    decisions: decided\n", "");
    learnt.relabel(&["check"]).ok();
    learnt.edit("relabel.yaml", "rank_by: label_quality", "rank_by: expected_quality");
    learnt.relabel(&["check"]).code(2).says(&["name a `corrections` node in `decisions`"]);
    let outcome = check("input: issues\n", "input: records\n");
    outcome.says(&["`adaptive` needs the column `predicted_label`"]);
}
