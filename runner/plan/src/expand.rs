//! `--set` overrides and `${...}` references.
//!
//! `${params.x}`, `${env:NAME}` and `${env:NAME:-default}` keep their type when they are the whole
//! value; inside a longer string they are its text. `$${` stands for a plain `${`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::World;
use crate::problem::{Problem, SourceName, Span};
use crate::suggest::suggestion;
use crate::yaml::{self, Data, Name, Tree};

/// References inside references, at most.
const MAX_DEPTH: usize = 16;

/// Where a value came from, for the run record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    File {
        line: usize,
    },
    /// The n-th `--params` file.
    Params {
        file: usize,
        line: usize,
    },
    Override {
        set: String,
    },
    Env {
        name: String,
        set: bool,
    },
}

/// What each place of a pipeline takes from the environment: values by the name of their variable,
/// by path such as `nodes.folds.k`. A variable that is not set has the value of its default.
pub type Environment = BTreeMap<String, BTreeMap<String, Value>>;

/// Puts one `PATH=VALUE` into the tree.
pub(crate) fn apply_override(tree: &mut Tree, set: &str, index: usize) -> Result<(), Problem> {
    let source = SourceName::Override(index);
    let whole = Span { source, line: 1, column: 1, length: set.chars().count().max(1) };
    let Some((path, text)) = set.split_once('=') else {
        return Err(Problem::new(whole, format!("`--set {set}` has no `=`"))
            .with_hint(Some("write `--set PATH=VALUE`, such as `params.confidence=0.8`".into())));
    };
    let mut value = if text.is_empty() {
        Tree { span: whole, data: Data::Scalar(Value::String(String::new())) }
    } else {
        yaml::parse(text, source)?
    };
    move_span(&mut value, whole);
    put(tree, ("--set", path), &path.split('.').collect::<Vec<_>>(), value, whole)
}

/// Puts a file of parameters over those of the pipeline, leaf by leaf.
pub(crate) fn apply_params(tree: &mut Tree, text: &str, index: usize) -> Vec<Problem> {
    let params = match yaml::parse(text, SourceName::Params(index)) {
        Ok(params) => params,
        Err(problem) => return vec![problem],
    };
    if !matches!(params.data, Data::Map(_)) {
        let message = format!("a parameter file is a map of parameters, this is {}", params.noun());
        let hint = "write `NAME: VALUE`, one line each".to_owned();
        return vec![Problem::new(params.span, message).with_hint(Some(hint))];
    }
    let mut problems = Vec::new();
    merge(tree, "params", &params, &mut problems);
    problems
}

fn merge(tree: &mut Tree, path: &str, value: &Tree, problems: &mut Vec<Problem>) {
    match &value.data {
        Data::Map(entries) if !entries.is_empty() || path == "params" => {
            for (name, child) in entries {
                // A dot would be taken for a step down the path.
                if name.text.contains('.') {
                    let message = format!("parameter `{}` has a dot in its name", name.text);
                    problems.push(Problem::new(name.span, message));
                    continue;
                }
                merge(tree, &format!("{path}.{}", name.text), child, problems);
            }
        }
        _ => {
            let parts: Vec<&str> = path.split('.').collect();
            let done = put(tree, ("--params", path), &parts, value.clone(), value.span);
            problems.extend(done.err());
        }
    }
}

/// All of an override's value is shown at the override as a whole.
fn move_span(tree: &mut Tree, span: Span) {
    tree.span = span;
    match &mut tree.data {
        Data::Scalar(_) => {}
        Data::List(items) => items.iter_mut().for_each(|item| move_span(item, span)),
        Data::Map(entries) => {
            for (name, value) in entries {
                name.span = span;
                move_span(value, span);
            }
        }
    }
}

/// Puts a value at a path; `path` is the option it came by and the whole path, for messages.
fn put(
    tree: &mut Tree,
    (option, path): (&str, &str),
    parts: &[&str],
    value: Tree,
    span: Span,
) -> Result<(), Problem> {
    let (part, rest) = (parts[0], &parts[1..]);
    let noun = tree.noun();
    match &mut tree.data {
        Data::Map(entries) => {
            // A matrix has keys that are paths themselves: `classifier.plugin`.
            let found = (1..=parts.len()).find_map(|taken| {
                let key = parts[..taken].join(".");
                Some((taken, entries.iter().position(|(name, _)| name.text == key)?))
            });
            if let Some((taken, place)) = found {
                let child = &mut entries[place].1;
                if taken == parts.len() {
                    *child = value;
                    return Ok(());
                }
                return put(child, (option, path), &parts[taken..], value, span);
            }
            // Whatever else is below a `matrix` is the path of a parameter.
            let all: Vec<&str> = path.split('.').collect();
            let in_matrix = all.len() > 3 && all[0] == "nodes" && all[2] == "matrix";
            let entry = |parts: &[&str], value: Tree| (Name { text: parts.join("."), span }, value);
            if in_matrix && all.len() - parts.len() == 3 {
                entries.push(entry(parts, value));
                return Ok(());
            }
            if in_matrix && all.len() - parts.len() == 2 {
                let matrix = Tree { span, data: Data::Map(vec![entry(rest, value)]) };
                entries.push(entry(&["matrix"], matrix));
                return Ok(());
            }
            // A new key is fine in a node or the like, where the schema judges it, and so are the
            // maps that it is in; a new name under `params` or `nodes` can only be a slip.
            let depth = path.split('.').count() - parts.len();
            let named = depth == 1 && (path.starts_with("params.") || path.starts_with("nodes."));
            let in_node = depth >= 2 && path.starts_with("nodes.");
            if in_node || (rest.is_empty() && !named) {
                let value = rest.iter().rev().fold(value, |value, part| {
                    let name = Name { text: (*part).to_owned(), span };
                    Tree { span, data: Data::Map(vec![(name, value)]) }
                });
                entries.push((Name { text: part.to_owned(), span }, value));
                return Ok(());
            }
            let known: Vec<String> = entries.iter().map(|(name, _)| name.text.clone()).collect();
            let hint = suggestion(part, known.iter().map(String::as_str), "there is");
            Err(Problem::new(span, format!("`{option} {path}`: there is no `{part}`"))
                .with_hint(hint))
        }
        Data::List(items) => {
            let count = items.len();
            match part.parse::<usize>().ok().and_then(|n| items.get_mut(n)) {
                Some(child) if rest.is_empty() => {
                    *child = value;
                    Ok(())
                }
                Some(child) => put(child, (option, path), rest, value, span),
                None => {
                    let message =
                        format!("`{option} {path}`: `{part}` is no index into a list of {count}");
                    Err(Problem::new(span, message))
                }
            }
        }
        Data::Scalar(_) => {
            let message = format!("`{option} {path}`: `{part}` would be inside {noun}");
            Err(Problem::new(span, message))
        }
    }
}

/// Expands references in a tree; gathers problems and where values came from.
pub(crate) struct Expander<'a> {
    pub params: Option<&'a Tree>,
    pub world: &'a dyn World,
    pub problems: Vec<Problem>,
    pub origins: BTreeMap<String, Origin>,
    pub environment: Environment,
}

impl Expander<'_> {
    /// Expands everything below `tree`; `path` is where it stands, for the origins.
    pub fn expand(&mut self, tree: &Tree, path: &str) -> Tree {
        self.expand_at(tree, path, 0)
    }

    fn expand_at(&mut self, tree: &Tree, path: &str, depth: usize) -> Tree {
        let data = match &tree.data {
            Data::Scalar(Value::String(text)) => {
                let text = text.clone();
                return self.string(tree, &text, path, depth);
            }
            Data::Scalar(value) => Data::Scalar(value.clone()),
            Data::List(items) => Data::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(n, item)| self.expand_at(item, &format!("{path}.{n}"), depth))
                    .collect(),
            ),
            Data::Map(entries) => Data::Map(
                entries
                    .iter()
                    .map(|(name, item)| {
                        let path = format!("{path}.{}", name.text);
                        (name.clone(), self.expand_at(item, &path, depth))
                    })
                    .collect(),
            ),
        };
        if matches!(data, Data::Scalar(_)) && depth == 0 {
            self.origins.insert(path.to_owned(), origin_of(tree.span));
        }
        Tree { span: tree.span, data }
    }

    fn string(&mut self, tree: &Tree, text: &str, path: &str, depth: usize) -> Tree {
        if depth == 0 {
            self.origins.insert(path.to_owned(), origin_of(tree.span));
        }
        if let Some(reference) = whole_reference(text) {
            return match self.reference(reference, tree.span, path, depth) {
                // What the command line gave is shown there, not where the file refers to it.
                Some(value) if value.span.source != SourceName::Pipeline => value,
                Some(value) => Tree { span: tree.span, data: value.data },
                None => tree.clone(),
            };
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if rest[..start].ends_with('$') {
                out.push_str(&rest[..start - 1]);
                out.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            out.push_str(&rest[..start]);
            let Some(end) = rest[start..].find('}') else {
                self.problems.push(Problem::new(tree.span, "`${` has no closing `}`"));
                return tree.clone();
            };
            let reference = &rest[start + 2..start + end];
            match self.reference(reference, tree.span, path, depth).map(|tree| tree.data) {
                Some(Data::Scalar(Value::String(text))) => out.push_str(&text),
                Some(Data::Scalar(value)) => out.push_str(&value.to_string()),
                Some(_) => {
                    let message =
                        format!("`${{{reference}}}` is a list or map and must be the whole value");
                    self.problems.push(Problem::new(tree.span, message));
                }
                None => {}
            }
            rest = &rest[start + end + 1..];
        }
        out.push_str(rest);
        Tree { span: tree.span, data: Data::Scalar(Value::String(out)) }
    }

    fn reference(&mut self, text: &str, span: Span, path: &str, depth: usize) -> Option<Tree> {
        if depth >= MAX_DEPTH {
            let message = format!("`${{{text}}}` refers to itself, or is nested too deeply");
            self.problems.push(Problem::new(span, message));
            return None;
        }
        if let Some(param) = text.strip_prefix("params.") {
            return self.param(param, span, path, depth);
        }
        if let Some(variable) = text.strip_prefix("env:") {
            return self.variable(variable, span, path);
        }
        let problem = Problem::new(span, format!("unknown reference `${{{text}}}`"))
            .with_hint(Some("write `${params.NAME}` or `${env:NAME:-default}`".into()));
        self.problems.push(problem);
        None
    }

    fn param(&mut self, param: &str, span: Span, path: &str, depth: usize) -> Option<Tree> {
        let mut here = self.params;
        let mut known: Vec<String> = Vec::new();
        for part in param.split('.') {
            if let Some(Data::Map(entries)) = here.map(|tree| &tree.data) {
                known = entries.iter().map(|(name, _)| name.text.clone()).collect();
            }
            here = here.and_then(|tree| tree.get(part));
        }
        let Some(tree) = here.cloned() else {
            let last = param.rsplit('.').next().unwrap_or(param);
            let hint = suggestion(last, known.iter().map(String::as_str), "parameters");
            let message = format!("`${{params.{param}}}` names no parameter of this pipeline");
            self.problems.push(Problem::new(span, message).with_hint(hint));
            return None;
        };
        self.origins.insert(path.to_owned(), origin_of(tree.span));
        Some(self.expand_at(&tree, path, depth + 1))
    }

    fn variable(&mut self, variable: &str, span: Span, path: &str) -> Option<Tree> {
        let (name, default) = match variable.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (variable, None),
        };
        let value = self.world.env(name).filter(|value| !value.is_empty() || default.is_none());
        self.origins
            .insert(path.to_owned(), Origin::Env { name: name.to_owned(), set: value.is_some() });
        let Some(text) = value.or_else(|| default.map(str::to_owned)) else {
            let problem = Problem::new(span, format!("environment variable `{name}` is not set"))
                .with_hint(Some(format!("set it, or write `${{env:{name}:-default}}`")));
            self.problems.push(problem);
            return None;
        };
        let value = yaml::resolve_plain(&text);
        let taken = self.environment.entry(path.to_owned()).or_default();
        taken.insert(name.to_owned(), value.clone());
        Some(Tree { span, data: Data::Scalar(value) })
    }
}

fn origin_of(span: Span) -> Origin {
    match span.source {
        SourceName::Pipeline => Origin::File { line: span.line },
        SourceName::Params(file) => Origin::Params { file, line: span.line },
        SourceName::Override(n) => Origin::Override { set: n.to_string() },
    }
}

/// The inside of a string that is one reference and nothing else.
fn whole_reference(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    (!inside.contains('}') && !inside.contains("${")).then_some(inside)
}
