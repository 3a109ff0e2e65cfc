//! `relabel show`: a frame from the cache.

use insta::assert_snapshot;

use serde_json::Value;

use crate::support::{Outcome, Sandbox};

const FEW: &str = "\
record_id,text,label
a,\"hello, \"\"world\"\"\",x
b,\"two
lines\",y
c,a text that is so long that it does not fit into a cell of a table,
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", FEW);
    sandbox.run(&["--select", "valid"]);
    sandbox
}

#[test]
fn a_table() {
    let outcome = sandbox().relabel(&["show", "records"]).ok();
    assert_snapshot!(outcome.out(), @r#"
    record_id  text                                              label
    a          hello, "world"                                    x
    b          two lines                                         y
    c          a text that is so long that it does not fit i...  -
    "#);
    assert_eq!(outcome.err(), "");
}

#[test]
fn csv_is_the_data() {
    let outcome = sandbox().relabel(&["show", "records", "--as", "csv", "--limit", "0"]).ok();
    assert_eq!(outcome.stdout, FEW);
}

#[test]
fn json_keeps_types() {
    let sandbox = sandbox();
    let outcome = sandbox.relabel(&["show", "valid", "--as", "json"]).ok();
    assert_snapshot!(
        outcome.stdout.lines().next().unwrap(),
        @r#"{"record_id":"a","text":"hello, \"world\"","label":"x","text_valid":true,"text_problem":null,"label_in_taxonomy":false}"#
    );
    assert_eq!(outcome.json_lines()[2]["label"], serde_json::Value::Null);
    assert_eq!(outcome.json_lines()[1]["text"], "two\nlines");
    let same = sandbox.relabel(&["show", "valid", "--format", "json"]).ok();
    assert_eq!(same.stdout, outcome.stdout);
}

#[test]
fn csv_by_format() {
    let sandbox = sandbox();
    let outcome = sandbox.relabel(&["show", "records", "--format", "csv", "--limit", "0"]).ok();
    assert_eq!(outcome.stdout, FEW);
    sandbox.relabel(&["plan", "--format", "csv"]).code(2).says(&["`--format csv`"]);
}

#[test]
fn a_limit_is_told() {
    let sandbox = Sandbox::audit();
    sandbox.run(&["--select", "valid"]);
    let outcome = sandbox.relabel(&["show", "valid", "--limit", "2"]).ok();
    assert_eq!(outcome.err().lines().next(), Some("2 of 300 rows; `--limit 0` for all"));
    let csv = |limit: &str| {
        let args = ["show", "valid", "--as", "csv", "--limit", limit];
        sandbox.relabel(&args).ok().stdout.lines().count()
    };
    assert_eq!((csv("2"), csv("0"), csv("1000")), (3, 301, 301));
}

#[test]
fn what_a_unit_said_is_said_again_of_a_hit() {
    let sandbox = Sandbox::audit();
    let said = |outcome: &Outcome| -> Vec<String> {
        let indented = outcome.stderr.lines().filter(|line| line.starts_with("         "));
        indented.map(str::to_owned).collect()
    };
    let first = said(&sandbox.relabel(&["run", "--select", "+suspicious"]).ok());
    let again = sandbox.relabel(&["run", "--select", "+suspicious"]).ok();
    assert_eq!(said(&again), [""; 0], "hits alone");
    let shown = sandbox.relabel(&["show", "suspicious"]).ok();
    let lines = said(&shown);
    assert!(lines.iter().any(|line| line.contains("of 300  prediction_confidence")), "{lines:?}");
    assert!(lines.iter().all(|line| first.contains(line)), "{lines:?} are not in {first:?}");
    assert!(!shown.stdout.contains("of 300  prediction_confidence"), "rows can be piped on");

    // Objects on stderr for programs, nothing beside CSV.
    let json = sandbox.relabel(&["show", "suspicious", "--as", "json"]).ok();
    let notes: Value = serde_json::from_str(json.stderr.trim()).unwrap();
    assert_eq!((&notes["event"], &notes["node"]), (&"notes".into(), &"suspicious".into()));
    assert_eq!(notes["notes"].as_array().unwrap().len(), lines.len());
    assert_eq!(sandbox.relabel(&["show", "suspicious", "--as", "csv"]).ok().stderr, "");

    let run = sandbox.relabel(&["runs", "show"]).ok();
    for line in lines {
        assert!(run.stdout.contains(&line), "{line} is not in\n{}", run.stdout);
    }
}

#[test]
fn what_is_not_there() {
    let sandbox = sandbox();
    let outcome = sandbox.relabel(&["show", "valit"]).code(2);
    outcome.says(&["no node `valit`", "did you mean `valid`?"]);
    let outcome = sandbox.relabel(&["show", "valid.reject"]).code(2);
    outcome.says(&["`valid` has no port `reject`", "`rejected`"]);
    let outcome = sandbox.relabel(&["show", "folds"]).code(2);
    outcome.says(&["is not in the cache", "relabel run relabel.yaml --select folds"]);
}

#[test]
fn what_changed_since_is_not_shown_as_if_it_had_not() {
    let sandbox = sandbox();
    sandbox.edit("records.csv", "hello", "goodbye");
    sandbox.relabel(&["show", "records"]).code(2).says(&["as it is now is not in the cache"]);
}
