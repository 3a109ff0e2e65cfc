//! `relabel show`: a frame from the cache.

use insta::assert_snapshot;

use crate::support::Sandbox;

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
    assert_eq!(outcome.err(), "2 of 300 rows; `--limit 0` for all");
    let csv = |limit: &str| {
        let args = ["show", "valid", "--as", "csv", "--limit", limit];
        sandbox.relabel(&args).ok().stdout.lines().count()
    };
    assert_eq!((csv("2"), csv("0"), csv("1000")), (3, 301, 301));
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
