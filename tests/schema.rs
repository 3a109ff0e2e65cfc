//! `relabel schema`: the JSON Schema of pipeline files, for editors.

use serde_json::Value;

use crate::support::{Sandbox, repository};

fn validator() -> jsonschema::Validator {
    let text = Sandbox::empty().relabel(&["schema"]).ok().stdout;
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "it is no valid JSON Schema");
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn it_accepts_what_is_shipped() {
    let validator = validator();
    for entry in std::fs::read_dir(repository().join("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let pipeline: Value = serde_yaml::from_str(&text).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&pipeline).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{}", path.display());
    }
}

#[test]
fn it_refuses_what_check_refuses() {
    let validator = validator();
    let check = |text: &str| validator.is_valid(&serde_yaml::from_str(text).unwrap());
    assert!(check("{version: 1, nodes: {a: {kind: source, path: x.csv}}}"));
    assert!(!check("{version: 1, nodes: {a: {kind: sauce, path: x.csv}}}"));
    assert!(!check("{version: 1, nodes: {a: {kind: source}}}"));
    assert!(!check("{version: 1, nodes: {a: {kind: source, path: x.csv, pathe: y}}}"));
    assert!(!check("{version: 1, nodes: {a: {kind: kfold, input: b, k: 1}}}"));
    assert!(check("{version: 1, nodes: {a: {kind: kfold, input: b, k: '${params.k}'}}}"));
    assert!(!check("{version: 2, nodes: {}}"));
    assert!(!check("{version: 1, nods: {}}"));
}
