//! `relabel graph`: the plan as a picture.

use insta::assert_snapshot;

use crate::support::Sandbox;

#[track_caller]
fn drawn(style: &str) -> String {
    Sandbox::audit().relabel(&["graph", "--style", style]).ok().out().to_owned()
}

#[test]
fn a_tree() {
    assert_snapshot!(drawn("tree"), @r"
    cleaned (export)
    └─ current (clean)
       ├─ valid (validate)
       │  └─ records (source)
       └─ decided as corrections (corrections)
    queue (review-queue)
    └─ suspicious (filter)
       └─ oof (predict)
          └─ folds (kfold)
             └─ current (clean) ...
    ");
}

#[test]
fn mermaid() {
    assert_snapshot!(drawn("mermaid"), @r#"
    flowchart TD
        decided["decided<br/><i>corrections</i>"]
        records["records<br/><i>source</i>"]
        valid["valid<br/><i>validate</i>"]
        current["current<br/><i>clean</i>"]
        cleaned["cleaned<br/><i>export</i>"]
        folds["folds<br/><i>kfold</i>"]
        oof["oof<br/><i>predict</i>"]
        suspicious["suspicious<br/><i>filter</i>"]
        queue["queue<br/><i>review-queue</i>"]
        records --> valid
        valid --> current
        decided -->|corrections| current
        current --> cleaned
        current --> folds
        folds --> oof
        oof --> suspicious
        suspicious --> queue
    "#);
}

#[test]
fn dot() {
    assert_snapshot!(drawn("dot"), @r#"
    digraph "audit" {
        node [shape=box];
        "decided" [label="decided\ncorrections"];
        "records" [label="records\nsource"];
        "valid" [label="valid\nvalidate"];
        "current" [label="current\nclean"];
        "cleaned" [label="cleaned\nexport"];
        "folds" [label="folds\nkfold"];
        "oof" [label="oof\npredict"];
        "suspicious" [label="suspicious\nfilter"];
        "queue" [label="queue\nreview-queue"];
        "records" -> "valid" [label=""];
        "valid" -> "current" [label=""];
        "decided" -> "current" [label="corrections"];
        "current" -> "cleaned" [label=""];
        "current" -> "folds" [label=""];
        "folds" -> "oof" [label=""];
        "oof" -> "suspicious" [label=""];
        "suspicious" -> "queue" [label=""];
    }
    "#);
}

#[test]
fn json() {
    let sandbox = Sandbox::audit();
    let graph = sandbox.relabel(&["graph", "--format", "json"]).ok().json();
    let nodes = graph["nodes"].as_array().unwrap();
    assert_eq!((&graph["schema_version"], nodes.len()), (&1.into(), 9));
    let oof = nodes.iter().find(|node| node["node"] == "oof").unwrap();
    assert_eq!((&oof["kind"], &oof["units"]), (&"predict".into(), &6.into()));
    let edges = graph["edges"].as_array().unwrap();
    let into_current: Vec<&str> = edges
        .iter()
        .filter(|edge| edge["to"] == "current")
        .map(|edge| edge["from"].as_str().unwrap())
        .collect();
    assert_eq!(into_current, ["valid", "decided"]);
}

#[test]
fn ports_are_on_the_edges() {
    let sandbox = Sandbox::audit();
    let text = sandbox.read("relabel.yaml");
    let more = "  bad: {kind: export, input: valid.rejected, path: out/bad.csv}\n";
    sandbox.write("relabel.yaml", text + more);
    let tree = sandbox.relabel(&["graph"]).ok();
    assert!(tree.out().contains("valid.rejected (validate)"), "{}", tree.out());
    let mermaid = sandbox.relabel(&["graph", "--style", "mermaid"]).ok();
    assert!(mermaid.out().contains("valid -->|rejected| bad"), "{}", mermaid.out());
}
