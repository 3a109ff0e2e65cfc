//! Pipelines in, problems or plans out. `Fixture` alone knows how a check is called.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::schema::{ColumnType, PortType, Schema};
use crate::*;

struct TestWorld;

impl World for TestWorld {
    fn base_dir(&self) -> &Path {
        Path::new("/nowhere")
    }
    fn env(&self, name: &str) -> Option<String> {
        HashMap::from([("STORE", "sqlite:env.db"), ("FOLDS", "7")]).get(name).map(|v| v.to_string())
    }
    fn read_text(&self, path: &str) -> Result<String, WorldError> {
        match path {
            "taxonomy.yaml" => Ok("version: 1\ncategories: [a, {name: b, queue: q}]\n".into()),
            _ => Err(WorldError("no such file".into())),
        }
    }
    fn plugin(&self, _: &PluginRequest<'_>) -> Result<PluginDescription, PluginProblem> {
        Err(PluginProblem {
            message: "none here".into(),
            hint: None,
            refused: false,
            key: "plugin",
        })
    }
}

/// A kind made of data: `source` has no input, `map` copies its input, `model` gives a model.
struct TestKind(&'static str);

impl KindSignature for TestKind {
    fn name(&self) -> &'static str {
        self.0
    }
    fn version(&self) -> u32 {
        1
    }
    fn summary(&self) -> &'static str {
        "for tests"
    }
    fn params_schema(&self) -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "k": { "type": "integer", "minimum": 2, "default": 5 },
                "mode": { "enum": ["fast", "slow"], "default": "fast" },
                "path": { "type": "string", "x-relabel-key": false },
                "text": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "min_chars": { "type": "integer", "default": 3 } },
                    "default": {},
                },
            },
        })
    }
    fn input_ports(&self) -> Vec<InputPort> {
        let accepts = match self.0 {
            "source" => return Vec::new(),
            "use-model" => Accepts::Model,
            _ => Accepts::Frame(vec![("label", &[ColumnType::String])]),
        };
        let many = if self.0 == "join" { Many::List } else { Many::One };
        vec![InputPort { many, ..InputPort::one("input", accepts, "what to read") }]
    }
    fn output_ports(&self) -> Vec<&'static str> {
        if self.0 == "map" { vec!["", "rejected"] } else { vec![""] }
    }
    fn check(&self, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema =
            Schema::new([("record_id", ColumnType::String), ("label", ColumnType::String)]);
        let frame = context.schema("input").cloned().unwrap_or(schema);
        let outputs = match self.0 {
            "model" => vec![("", PortType::Model)],
            "drop-label" => vec![("", PortType::Frame(Schema::default()))],
            "map" => {
                vec![("", PortType::Frame(frame.clone())), ("rejected", PortType::Frame(frame))]
            }
            _ => vec![("", PortType::Frame(frame))],
        };
        Ok(Checked { outputs, ..Checked::default() })
    }
}

fn catalog() -> Catalog {
    let kinds = ["source", "map", "join", "model", "use-model", "drop-label"];
    Catalog::new(kinds.map(|name| Arc::new(TestKind(name)) as Arc<dyn KindSignature>))
}

fn check_with(text: &str, sets: &[&str]) -> Result<Plan, PlanErrors> {
    let overrides: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let source = PipelineSource { text, default_name: "test", params: &[], overrides: &overrides };
    compile(&source, &catalog(), &TestWorld)
}

fn errors(text: &str) -> String {
    match check_with(text, &[]) {
        Ok(_) => "no error".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn a_plan_does_not_depend_on_the_order_of_nodes() {
    let one = "version: 1\nnodes:\n  b: {kind: map, input: a}\n  a: {kind: source}\n";
    let two = "version: 1\nnodes:\n  a: {kind: source}\n  b: {input: a, kind: map} # why\n";
    let names = |text| {
        let plan = check_with(text, &[]).unwrap();
        plan.steps().map(|step| (step.name.clone(), step.key_params.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(one), names(two));
}

#[test]
fn an_explicit_default_is_no_change_and_paths_stay_out_of_keys() {
    let plain = check_with("version: 1\nnodes: {a: {kind: source}}", &[]).unwrap();
    let text = "version: 1\nnodes: {a: {kind: source, k: 5, path: x.csv, text: {min_chars: 3}}}";
    let explicit = check_with(text, &[]).unwrap();
    let key = |plan: &Plan| plan.find("a").unwrap().key_params.clone();
    assert_eq!(key(&plain), json!({"k": 5, "mode": "fast", "text": {"min_chars": 3}}));
    assert_eq!(key(&plain), key(&explicit));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = "\
version: 2
nmae: x
nodes:
  a: {kind: suorce}
  b: {kind: map, input: c}
  c: {kind: source, k: five, mod: fast}
  d: {kind: map, input: cc, mode: fst}
  e: {kind: map}
  f: {kind: map, input: c.rejcted}
";
    assert_snapshot!(errors(text), @r#"
    1:10: pipeline version 2 is not known (this build reads `version: 1`)
    2:1: unknown key `nmae` (did you mean `name`?)
    4:13: unknown kind `suorce` (did you mean `source`?)
    6:24: node `c`: `k` must be of type integer, not "five"
    6:30: node `c`: unknown key `mod` (did you mean `mode`?)
    7:25: `input` reads `cc`, which is no node of this pipeline (did you mean `c`?)
    7:35: node `d`: `mode` is "fst", which is not a choice (did you mean `fast`?)
    8:3: node `e` needs `input`: what to read
    9:25: `c` has no port `rejcted` (`c` has one output: write `c`)
    "#);
}

#[test]
fn a_cycle_is_printed() {
    let text = "\
version: 1
nodes:
  a: {kind: map, input: c}
  b: {kind: map, input: a}
  c: {kind: map, input: b.rejected}
";
    assert_snapshot!(errors(text), @"3:3: the nodes form a cycle: `a` -> `b` -> `c` -> `a` (decisions come back through a `corrections` node, not through the graph)");
    let own = "version: 1\nnodes:\n  a: {kind: map, input: a}\n";
    assert_snapshot!(errors(own), @"3:3: the nodes form a cycle: `a` -> `a` (decisions come back through a `corrections` node, not through the graph)");
}

#[test]
fn edges_are_type_checked() {
    let text = "\
version: 1
nodes:
  a: {kind: source}
  m: {kind: model, input: a}
  x: {kind: map, input: m}
  y: {kind: use-model, input: a}
  z: {kind: drop-label, input: a}
  w: {kind: map, input: z}
";
    assert_snapshot!(errors(text), @r"
    5:25: `input` takes a frame; `m` gives a model
    6:31: `input` takes a model; `a` gives a frame
    8:25: `z` has no column `label`, which is needed here
    ");
}

#[test]
fn references_keep_their_type_when_whole() {
    let text = "\
version: 1
params: {folds: 4, dir: data, both: '${params.dir}/x'}
nodes:
  a: {kind: source, k: '${params.folds}', path: '${params.both}-${params.folds}-$${no}'}
  b: {kind: source, k: '${env:FOLDS:-3}', path: '${env:NOPE:-fallback}'}
";
    let plan = check_with(text, &[]).unwrap();
    assert_eq!(plan.find("a").unwrap().params["k"], json!(4));
    assert_eq!(plan.find("a").unwrap().params["path"], json!("data/x-4-${no}"));
    assert_eq!(plan.find("b").unwrap().params["k"], json!(7));
    assert_eq!(plan.find("b").unwrap().params["path"], json!("fallback"));
}

#[test]
fn bad_references_are_told() {
    let text = "\
version: 1
params: {folds: 4, loop: '${params.loop}'}
nodes:
  a: {kind: source, k: '${params.fold}'}
  b: {kind: source, path: '${env:NOPE}'}
  c: {kind: source, path: '${params.loop}'}
  d: {kind: source, path: 'x${'}
  e: {kind: source, path: '${what}'}
";
    assert_snapshot!(errors(text), @r#"
    2:26: `${params.loop}` refers to itself, or is nested too deeply
    4:24: `${params.fold}` names no parameter of this pipeline (did you mean `folds`?)
    4:24: node `a`: `k` must be of type integer, not "${params.fold}"
    5:27: environment variable `NOPE` is not set (set it, or write `${env:NOPE:-default}`)
    7:27: `${` has no closing `}`
    8:27: unknown reference `${what}` (write `${params.NAME}` or `${env:NAME:-default}`)
    "#);
}

#[test]
fn overrides_are_typed_and_checked() {
    let text = "version: 1\nparams: {k: 3}\nnodes: {a: {kind: source, k: '${params.k}'}}";
    let plan = check_with(text, &["params.k=9", "nodes.a.mode=slow"]).unwrap();
    assert_eq!(plan.find("a").unwrap().params["k"], json!(9));
    assert_eq!(plan.find("a").unwrap().params["mode"], json!("slow"));
    let wrong = ["params.kk=9", "nodes.b.mode=slow", "nodes.a.k.x=1", "novalue", "nodes.a.k=two"];
    assert_snapshot!(check_with(text, &wrong).unwrap_err(), @r#"
    1:1: `--set params.kk`: there is no `kk` (did you mean `k`?)
    1:1: `--set nodes.b.mode`: there is no `b` (did you mean `a`?)
    1:1: `--set nodes.a.k.x`: `x` would be inside a string
    1:1: `--set novalue` has no `=` (write `--set PATH=VALUE`, such as `params.confidence=0.8`)
    1:1: node `a`: `k` must be of type integer, not "two"
    "#);
}

#[test]
fn yaml_features_and_limits() {
    let anchors = "\
version: 1
nodes:
  a: &base {kind: source, k: 4}
  b: {<<: *base, k: 6}
  c: *base
";
    let plan = check_with(anchors, &[]).unwrap();
    assert_eq!(plan.find("b").unwrap().params["k"], json!(6));
    assert_eq!(plan.find("c").unwrap().params["k"], json!(4));
    assert_snapshot!(errors("version: 1\nnodes: {a: {kind: source}, a: {kind: map}}"), @"2:28: key `a` is given twice, first on line 2");
    assert_snapshot!(errors("version: 1\nnodes: [\n"), @"3:1: not valid YAML: while parsing a node, did not find expected node content");
    let mut bomb = "version: 1\nparams:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("  a{n}: &a{n} [{aliases}]\n"));
    }
    assert!(errors(&bomb).contains("more than 200000 values"), "{}", errors(&bomb));
}

#[test]
fn taxonomies_are_checked() {
    let plan = check_with("version: 1\ntaxonomy: taxonomy.yaml\nnodes: {}", &[]).unwrap();
    assert_eq!(plan.taxonomy.unwrap().names().collect::<Vec<_>>(), ["a", "b"]);
    assert_snapshot!(errors("version: 1\ntaxonomy: none.yaml\nnodes: {}"), @"2:11: taxonomy `none.yaml`: no such file");
    assert_snapshot!(errors("version: 1\ntaxonomy: [x, y, x]\nnodes: {}"), @"2:11: category `x` is listed twice");
}

#[test]
fn selectors() {
    let text = "\
version: 1
nodes:
  a: {kind: source}
  b: {kind: map, input: a}
  c: {kind: map, input: b}
  d: {kind: source}
";
    let plan = check_with(text, &[]).unwrap();
    let names = |selector: &str| {
        let ids = select(&plan, &[selector.to_owned()])?;
        Ok(ids.iter().map(|id| plan.step(*id).name.as_str()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names("b"), Ok("b".into()));
    assert_eq!(names("+b"), Ok("a b".into()));
    assert_eq!(names("b+"), Ok("b c".into()));
    assert_eq!(names("+b+"), Ok("a b c".into()));
    assert_eq!(names("kind:source"), Ok("a d".into()));
    assert_eq!(names("*"), Ok("a b c d".into()));
    let error: SelectError = names("kind:suorce").unwrap_err();
    assert_eq!(error.hint.unwrap(), "did you mean `kind:source`?");
}

#[test]
fn the_schema_of_pipelines_accepts_what_compile_accepts() {
    let schema = pipeline_schema(&catalog());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good = json!({"version": 1, "nodes": {"a": {"kind": "source", "k": "${params.k}"}}});
    assert!(validator.is_valid(&good), "{:?}", validator.iter_errors(&good).next());
    let bad = json!({"version": 1, "nodes": {"a": {"kind": "source", "kk": 3}}});
    assert!(!validator.is_valid(&bad));
}
