//! `report`: one page that is complete in itself, the same each time, and safe to open.

use engine::Cache;

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

/// Lets all results in the cache have taken half a second a unit.
fn let_units_have_taken_half_a_second(sandbox: &Sandbox) {
    let cache = Cache::at(sandbox.path(".relabel"));
    for entry in cache.inventory().unwrap().records.into_values() {
        let mut record = entry.record.unwrap();
        record.seconds = 0.5;
        cache.put_record(&record).unwrap();
    }
}

/// The beginning of a node's row in the table below the drawing.
fn row(node: &str, took: &str, rows: &str, kind: &str) -> String {
    let took = format!("<td class=\"n\">{took}</td><td class=\"n\">{rows}</td>");
    format!("<tr><th scope=\"row\">{node}</th>{took}<td>{kind}</td>")
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
fn times_are_on_the_page_and_in_nothing_that_depends_on_it() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let first = sandbox.read("out/report.html");
    let frame = sandbox.frame("page", &[]);
    let written =
        || std::fs::metadata(sandbox.path("out/report.html")).unwrap().modified().unwrap();
    let at = written();
    let_units_have_taken_half_a_second(&sandbox);
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0], "a page is not written again for its times");
    assert_eq!((sandbox.read("out/report.html"), written()), (first.clone(), at));

    std::fs::remove_file(sandbox.path("out/report.html")).unwrap();
    let events = sandbox.run(&[]);
    assert_eq!(
        (events.units("run"), events.reason("page")),
        (vec!["page".into()], "target-changed")
    );
    let second = sandbox.read("out/report.html");
    assert_ne!(first, second);
    assert_eq!(sandbox.frame("page", &[]), frame);
    for wanted in [
        row("records", "500 ms", "300", "source"),
        // What puts its five folds together counts too.
        row("oof", "3 s", "300", "predict"),
        ">\n3 s \u{b7} 300 rows\n<".to_owned(),
        // Neither comes before the page.
        row("cleaned", "", "", "export"),
        row("page", "", "", "report"),
        "<th scope=\"row\">Total</th><td class=\"n\">6.5 s</td>".to_owned(),
        "they are 6.5 s;".to_owned(),
    ] {
        assert!(second.contains(&wanted), "`{wanted}` is not on the page");
    }
    let before = |page: &str| page.split("<section id=\"pipeline\"").next().unwrap().to_owned();
    assert_eq!(before(&first), before(&second));

    let digest = engine::Digest::of(second.as_bytes()).to_hex();
    assert_ne!(frame[0]["digest"], digest, "the frame is of the page without times");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0], "the page is recognised as it is on disk");
    let verified = sandbox.relabel(&["cache", "verify", "--rerun", "99", "--format", "json"]).ok();
    assert_eq!(verified.json_lines().last().unwrap()["diverged"], 0);
    assert_eq!(sandbox.read("out/report.html"), second);
}

#[test]
fn each_variant_has_its_time() {
    let sandbox = sandbox();
    sandbox.edit(
        "relabel.yaml",
        "classifier: {plugin: linear}}",
        "matrix: {classifier.plugin: [naive-bayes, majority]}}",
    );
    let events = sandbox.run(&["--select", "+page"]);
    let notes = events.unit("oof")["notes"].as_array().unwrap().clone();
    let variants: Vec<_> = notes.iter().filter(|note| note["note"] == "variant").collect();
    assert_eq!(variants.len(), 2);
    assert!(variants.iter().all(|note| note["seconds"].as_f64().unwrap() > 0.0), "{variants:?}");
    let_units_have_taken_half_a_second(&sandbox);
    std::fs::remove_file(sandbox.path("out/report.html")).unwrap();
    sandbox.run(&["--select", "+page"]);
    let page = sandbox.read("out/report.html");
    for wanted in [
        row("oof[plugin=naive-bayes]", "3 s", "300", "predict"),
        row("oof[plugin=majority]", "3 s", "300", "predict"),
        row("oof", "500 ms", "300", "predict"),
    ] {
        assert!(page.contains(&wanted), "`{wanted}` is not on the page");
    }
    sandbox.edit(
        "relabel.yaml",
        "path: out/report.html}",
        "path: out/report.html, matrix: {top: [1, 2]}}",
    );
    let said = "a node of kind `report` writes to one place and cannot have a matrix";
    sandbox.relabel(&["check"]).code(2).says(&[said]);
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
