//! `report`: one page that is complete in itself, the same each time, and safe to open.

use crate::support::{Sandbox, records, to_csv};

const NODES: &str = "  pairs: {kind: duplicates, input: current}
  issues: {kind: issues, input: oof}
  page: {kind: report, input: issues, classes: issues.classes, duplicates: pairs.conflicts, path: out/report.html}
  queue:";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "  queue:", NODES);
    sandbox
}

#[test]
fn a_page_with_everything_and_no_network() {
    let sandbox = sandbox();
    let mut all = records(300, 7);
    // The same text, once more under another label.
    all[4].text = all[0].text.clone();
    all[0].label = "account".into();
    all[4].label = "billing".into();
    sandbox.write("records.csv", to_csv(&all));
    sandbox.run(&[]);
    let page = sandbox.read("out/report.html");
    let issues = sandbox.frame("issues", &[]);
    let flagged = issues.iter().filter(|row| row["is_label_issue"] == true).count();
    assert!(flagged > 5);
    assert!(page.contains(&format!("<dd>{flagged} (")), "the number of issues");
    for wanted in [
        "<h1>Audit of audit</h1>",
        "prefers-color-scheme: dark",
        "name=\"viewport\"",
        "Noise by class",
        "given \\ proposed",
        "share that is right",
        "nearly so, under more than one",
        "account (1), billing (1)",
        ">duplicates<",
    ] {
        assert!(page.contains(wanted), "`{wanted}` is not on the page");
    }
    assert_eq!(page.matches("<svg role=\"img\"").count(), 3);
    // A name space is an address that nobody goes to.
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for bad in ["http:", "https:", "<script", "<link", "url(", "@import"] {
        assert!(!page.contains(bad), "`{bad}` is on the page");
    }
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn it_is_written_again_when_it_is_not_as_it_was() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let page = sandbox.read("out/report.html");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    sandbox.write("out/report.html", "mine");
    let events = sandbox.run(&[]);
    assert_eq!(events.units("run"), ["page"]);
    assert_eq!(events.reason("page"), "target-changed");
    assert_eq!(sandbox.read("out/report.html"), page);
    // A node more is another picture of the pipeline; what it does changes nothing else.
    sandbox.edit(
        "relabel.yaml",
        "  page:",
        "  few: {kind: filter, input: oof, where: 'true'}\n  page:",
    );
    assert_eq!(sandbox.run(&[]).units("run"), ["few", "page"]);
    assert!(sandbox.read("out/report.html").contains(">few<"));
}

#[test]
fn nothing_of_a_record_becomes_markup() {
    let sandbox = sandbox();
    let evil = "<script>alert(1)</script>";
    let mut all = records(300, 7);
    for record in all.iter_mut().filter(|record| record.label != record.truth) {
        record.text = format!("{evil} \"\"{}", record.text);
        record.text = format!("\"{}\"", record.text);
    }
    let text = to_csv(&all).replace("billing", evil);
    sandbox.write("records.csv", text);
    sandbox.write(
        "taxonomy.yaml",
        "version: 1\ncategories: [account, '<script>alert(1)</script>', delivery, technical]\n",
    );
    sandbox.edit(
        "relabel.yaml",
        "path: out/report.html",
        &format!("path: out/report.html, title: '{evil}'"),
    );
    sandbox.run(&["--select", "+page"]);
    let page = sandbox.read("out/report.html");
    assert!(!page.contains("<script"));
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 5);
}

#[test]
fn a_page_has_the_name_of_one_and_what_it_reads_is_checked() {
    let sandbox = sandbox();
    sandbox.edit("relabel.yaml", "report.html", "report.pdf");
    sandbox.relabel(&["check"]).code(2).says(&["no name of an HTML page", ":20:"]);
    sandbox.edit("relabel.yaml", "report.pdf", "report.html");
    sandbox.edit("relabel.yaml", "pairs.conflicts", "pairs");
    let said = "`pairs` has no column `conflict_kind`, which is needed here";
    sandbox.relabel(&["check"]).code(2).says(&[said]);
    sandbox.edit(
        "relabel.yaml",
        "input: issues, classes: issues.classes, duplicates: pairs,",
        "input: oof,",
    );
    sandbox.run(&["--select", "+page"]);
    assert!(sandbox.read("out/report.html").contains("whose records are predicted otherwise"));
}

#[test]
fn tables_of_other_nodes_are_shown_as_they_are() {
    let sandbox = sandbox();
    sandbox.edit(
        "relabel.yaml",
        "path: out/report",
        "rounds: gone, estimate: issues.pairs, path: out/report",
    );
    sandbox.edit(
        "relabel.yaml",
        "  page:",
        "  gone: {kind: filter, input: oof, where: 'false'}\n  page:",
    );
    sandbox.run(&["--select", "+page"]);
    let page = sandbox.read("out/report.html");
    let pairs = sandbox.frame("issues.pairs", &[]);
    let share =
        format!("<td class=\"n\">{:.4}</td>", pairs[0]["joint_probability"].as_f64().unwrap());
    for wanted in ["id=\"estimate\"", "id=\"rounds\"", "<th>other category</th>", &share] {
        assert!(page.contains(wanted), "`{wanted}` is not on the page");
    }
}
