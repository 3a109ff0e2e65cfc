//! `relabel plugins`: which classifiers there are, and what they take.

use crate::support::{Sandbox, plugins};

#[test]
fn the_shipped_ones_are_listed() {
    let sandbox = Sandbox::empty();
    let list = sandbox.relabel(&["plugins", "list", "--format", "json"]).ok().json();
    let found = list["plugins"].as_array().unwrap();
    for name in ["complement-nb", "forest", "knn", "linear", "logistic", "majority", "naive-bayes"]
    {
        let plugin = found.iter().find(|plugin| plugin["name"] == name).unwrap();
        for field in ["version", "description", "licence", "location"] {
            assert!(!plugin[field].as_str().unwrap().is_empty(), "{name} has no {field}");
        }
        assert_eq!(plugin["file_digest"].as_str().unwrap().len(), 64);
        assert_eq!(plugin["params_schema"]["type"], "object");
    }
    let text = sandbox.relabel(&["plugins", "list"]).ok();
    assert!(text.out().contains("linear"), "{}", text.out());
}

#[test]
fn one_with_its_parameters() {
    let sandbox = Sandbox::empty();
    let shown = sandbox.relabel(&["plugins", "show", "linear"]).ok();
    for text in ["linear ", "licence  MIT OR Apache-2.0", "parameter", "word_ngrams"] {
        assert!(shown.out().contains(text), "`{text}` in:\n{}", shown.out());
    }
    let outcome = sandbox.relabel(&["plugins", "show", "linaer"]).code(7);
    outcome.says(&["linaer", "hint: "]);
}

#[test]
fn refused_ones_are_listed_with_the_reason() {
    let sandbox = Sandbox::empty();
    let broken = "runner/plugin-host/tests/fixtures/broken.c";
    plugins::compile(&sandbox, broken, Some("BREAK_VERSION"));
    let list = sandbox.relabel(&["plugins", "list"]).ok();
    let line = list.out().lines().find(|line| line.starts_with("plugin-in-c")).unwrap();
    assert!(line.contains("refused: it speaks ABI version 99"), "{line}");
    sandbox.relabel(&["plugins", "show", "plugin-in-c"]).code(7);
}

#[test]
fn the_example_in_c_is_a_plugin_like_any_other() {
    let sandbox = Sandbox::audit();
    let library = plugins::compile(&sandbox, "examples/plugin-c/plugin.c", None);
    let path = library.to_str().unwrap();
    let shown = sandbox.relabel(&["plugins", "show", path]).ok();
    assert!(shown.out().starts_with("plugin-in-c 1.0.0"), "{}", shown.out());
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    assert_eq!(sandbox.run(&[]).units("run").len(), 14);
}

#[test]
fn every_shipped_plugin_audits() {
    for name in ["complement-nb", "forest", "knn", "linear", "logistic", "majority", "naive-bayes"]
    {
        let sandbox = Sandbox::audit();
        let events = sandbox.run(&["--set", &format!("nodes.oof.classifier.plugin={name}")]);
        let metric = events.unit("oof")["notes"][0].clone();
        let accuracy = metric["value"].as_f64().unwrap();
        let wanted = if name == "majority" { 0.2 } else { 0.8 };
        assert!(accuracy > wanted, "{name}: {accuracy}");
    }
}
