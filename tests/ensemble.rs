//! The shipped pipeline `ensemble.yaml`, from the first run to the page after a round of review.

use serde_json::Value;

use crate::support::rows::{measure, text};
use crate::support::{Sandbox, records, repository, reviewer, to_csv};

#[test]
fn a_round_of_the_ensemble_ends_on_a_page() {
    const RECORDS: usize = 600;
    let sandbox = Sandbox::empty();
    let shipped = std::fs::read_to_string(repository().join("pipelines/ensemble.yaml")).unwrap();
    sandbox.write("relabel.yaml", shipped);
    let mut all = records(RECORDS, 7);
    all[4].text = all[0].text.clone();
    sandbox.write("records.csv", to_csv(&all));
    let set = ["--set", "params.budget=60", "--set", "params.control=40"];
    sandbox.run(&set);
    let queue = sandbox.frame("queue", &set);
    assert!(queue.len() > 40 && queue.len() <= 100, "{}", queue.len());
    for item in &queue {
        let reason = text(item, "reasons");
        assert!(reason.contains(" (its threshold is "), "{reason}");
        assert!(reason.contains(" of 4 models predict `"), "{reason}");
    }

    assert!(sandbox.read("out/report.html").contains("all models predict one other label"));

    // Two people look at all of it; one of them takes every proposal.
    let truth = reviewer::truth(RECORDS, 7);
    let mut csv = "record_id,review_decision,final_label,reviewed_by,reviewed_at\n".to_owned();
    for item in &queue {
        let id = text(item, "record_id");
        let (word, label) = reviewer::verdict(item, &truth[id]);
        csv.push_str(&format!("{id},accept,,cy,2025-03-01T09:00:00Z\n"));
        csv.push_str(&format!("{id},{word},{label},ann,2025-03-01T10:00:00Z\n"));
    }
    sandbox.write("decisions.csv", csv);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    sandbox.run(&set);
    assert_eq!(
        sandbox.frame("measured.gold", &set).len(),
        10,
        "verified records measure reviewers"
    );

    // Nothing tells a gold or control row from others: no label is proposed in place of itself.
    for item in sandbox.frame("queue", &set) {
        assert_ne!(text(&item, "proposed_label"), text(&item, "given_label"), "{item}");
    }

    let found = sandbox.frame("found", &set);
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
    let (left, next) =
        (measure(&found, "errors left"), measure(&found, "errors expected in the next rows"));
    for bound in ["low", "estimate", "high"] {
        assert!(number(next, bound) <= number(left, bound) + 1e-6, "{next} {left}");
    }
    let current = sandbox.frame("current", &set);
    let wrong = current.iter().filter(|row| text(row, "label") != truth[text(row, "record_id")]);
    let wrong = wrong.count() as f64;
    assert!(number(left, "low") <= wrong && wrong <= number(left, "high"), "{wrong}: {left}");

    let page = sandbox.read("out/report.html");
    for wanted in [
        "Same text, other label",
        ">Estimate<",
        ">Rounds<",
        "<th class=\"n\">wrong so far</th>",
        ">Reviewers<",
        ">Agreement<",
        "krippendorff alpha",
        "wrong labels left (",
        ">ann<",
    ] {
        assert!(page.contains(wanted), "`{wanted}` is not on the page");
    }
    assert_eq!(sandbox.run(&set).units("run"), [""; 0]);
}
