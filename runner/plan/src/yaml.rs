//! A YAML document as a tree in which every value knows its place.
//!
//! serde_yaml gives no positions, so the events come from a span-aware parser; what a plain scalar
//! means (`yes`, `0x10`, `1e3`) is still asked of serde_yaml, so that both read one dialect.
//! Aliases are copied in; the size of the whole tree is bounded against alias bombs.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as ScanSpan};
use serde_json::Value;

use crate::problem::{Problem, SourceName, Span};

/// More values than any real pipeline has; an alias bomb is stopped here.
const MAX_VALUES: usize = 200_000;
/// Deeper than any real pipeline nests.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    pub span: Span,
    pub data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// Null, boolean, number or string; never an array or object.
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<(Name, Tree)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub text: String,
    pub span: Span,
}

impl Tree {
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match &self.data {
            Data::Map(entries) => {
                entries.iter().find(|(name, _)| name.text == key).map(|(_, tree)| tree)
            }
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn noun(&self) -> &'static str {
        match &self.data {
            Data::Scalar(Value::Null) => "nothing",
            Data::Scalar(Value::Bool(_)) => "a boolean",
            Data::Scalar(Value::Number(_)) => "a number",
            Data::Scalar(_) => "a string",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    pub fn to_json(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Tree::to_json).collect()),
            Data::Map(entries) => Value::Object(
                entries.iter().map(|(name, tree)| (name.text.clone(), tree.to_json())).collect(),
            ),
        }
    }

    /// The entry of a map that a JSON pointer leads to.
    pub fn entry(&self, pointer: &str) -> Option<(&Name, &Tree)> {
        let (parent, last) = pointer.rsplit_once('/')?;
        let mut here = self;
        for part in parent.split('/').skip(1) {
            here = match &here.data {
                Data::Map(_) => here.get(part)?,
                Data::List(items) => items.get(part.parse::<usize>().ok()?)?,
                Data::Scalar(_) => return None,
            };
        }
        let Data::Map(entries) = &here.data else { return None };
        entries.iter().find(|(name, _)| name.text == last).map(|(name, value)| (name, value))
    }

    /// The place of the value a JSON pointer leads to, or of the nearest one above it.
    pub fn locate(&self, pointer: &str) -> Span {
        let mut here = self;
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match &here.data {
                Data::List(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
                Data::Map(_) => here.get(&part),
                Data::Scalar(_) => None,
            };
            match next {
                Some(tree) => here = tree,
                None => break,
            }
        }
        here.span
    }
}

/// Parses one document; an empty one is an empty map.
pub(crate) fn parse(text: &str, source: SourceName) -> Result<Tree, Problem> {
    let mut builder = Builder { source, ..Builder::default() };
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) = event.map_err(|error| {
            let marker = error.marker();
            let span = Span { source, line: marker.line(), column: marker.col() + 1, length: 1 };
            Problem::new(span, format!("not valid YAML: {}", error.info()))
        })?;
        builder.event(event, span)?;
    }
    let empty = Tree { span: Span { source, ..Span::START }, data: Data::Map(Vec::new()) };
    Ok(builder.root.unwrap_or(empty))
}

/// What a plain scalar means, by serde_yaml's rules.
pub(crate) fn resolve_plain(text: &str) -> Value {
    // No word that means something is longer than `false`; asking takes a parser for each.
    let may_be_special = match text.chars().next() {
        None => true,
        Some('0'..='9' | '+' | '-' | '.' | '~') => text.len() <= 64,
        Some(first) => text.len() <= "false".len() && "tTfFnNyYoO".contains(first),
    };
    if !may_be_special {
        return Value::String(text.to_owned());
    }
    match serde_yaml::from_str::<Value>(text) {
        Ok(value) if !value.is_array() && !value.is_object() => value,
        _ => Value::String(text.to_owned()),
    }
}

enum Open {
    List(Vec<Tree>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<(Name, Tree)>,
    /// The key whose value comes next.
    key: Option<Name>,
    /// Keys that came in by `<<` and give way to written ones.
    merged: Vec<String>,
    /// Where each key is, once there are many.
    places: HashMap<String, usize>,
}

/// Maps up to this size are searched key by key.
const FEW: usize = 16;

impl OpenMap {
    fn place(&mut self, key: &str) -> Option<usize> {
        if self.entries.len() <= FEW {
            return self.entries.iter().position(|(other, _)| other.text == key);
        }
        for (place, (name, _)) in self.entries.iter().enumerate().skip(self.places.len()) {
            self.places.insert(name.text.clone(), place);
        }
        self.places.get(key).copied()
    }
}

struct Builder {
    source: SourceName,
    stack: Vec<(Open, Span, usize)>,
    anchors: HashMap<usize, Tree>,
    root: Option<Tree>,
    values: usize,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            source: SourceName::Pipeline,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            values: 0,
        }
    }
}

impl Builder {
    fn span(&self, span: ScanSpan) -> Span {
        let (start, end) = (span.start, span.end);
        let length =
            if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Span {
            source: self.source,
            line: start.line().max(1),
            column: start.col() + 1,
            length: length.max(1),
        }
    }

    fn event(&mut self, event: Event<'_>, scan: ScanSpan) -> Result<(), Problem> {
        let span = self.span(scan);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value =
                    if plain { resolve_plain(&text) } else { Value::String(text.into_owned()) };
                self.value(Tree { span, data: Data::Scalar(value) }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new()), span, anchor),
            Event::MappingStart(anchor, _) => {
                self.open(Open::Map(OpenMap::default()), span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some((open, span, anchor)) = self.stack.pop() else { return Ok(()) };
                let data = match open {
                    Open::List(items) => Data::List(items),
                    Open::Map(map) => Data::Map(map.entries),
                };
                self.value(Tree { span, data }, anchor)
            }
            Event::Alias(anchor) => {
                let Some(tree) = self.anchors.get(&anchor).cloned() else {
                    return Err(Problem::new(span, "this alias names itself or nothing"));
                };
                self.values += count(&tree);
                self.value(tree, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, span: Span, anchor: usize) -> Result<(), Problem> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Problem::new(span, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.stack.push((open, span, anchor));
        Ok(())
    }

    fn value(&mut self, tree: Tree, anchor: usize) -> Result<(), Problem> {
        self.values += 1;
        if self.values > MAX_VALUES {
            let message = format!("more than {MAX_VALUES} values after aliases are expanded");
            return Err(Problem::new(tree.span, message));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        match self.stack.last_mut() {
            None if self.root.is_some() => {
                Err(Problem::new(tree.span, "a second YAML document; one file is one pipeline"))
            }
            None => {
                self.root = Some(tree);
                Ok(())
            }
            Some((Open::List(items), ..)) => {
                items.push(tree);
                Ok(())
            }
            Some((Open::Map(map), ..)) => match map.key.take() {
                Some(name) => insert(map, name, tree),
                None => {
                    map.key = Some(key_name(tree)?);
                    Ok(())
                }
            },
        }
    }
}

fn key_name(tree: Tree) -> Result<Name, Problem> {
    let text = match tree.data {
        Data::Scalar(Value::String(text)) => text,
        Data::Scalar(Value::Null) => return Err(Problem::new(tree.span, "a key is missing")),
        Data::Scalar(value) => value.to_string(),
        _ => return Err(Problem::new(tree.span, "a key must be a plain word")),
    };
    Ok(Name { text, span: tree.span })
}

/// Adds an entry; `<<` merges a map or a list of maps underneath the keys that are written out.
fn insert(map: &mut OpenMap, name: Name, tree: Tree) -> Result<(), Problem> {
    if name.text == "<<" {
        let maps = match tree.data {
            Data::List(maps) => maps,
            data => vec![Tree { span: tree.span, data }],
        };
        for merge in maps {
            let Data::Map(entries) = merge.data else {
                return Err(Problem::new(merge.span, "`<<` merges maps only"));
            };
            for (key, value) in entries {
                if !map.entries.iter().any(|(other, _)| other.text == key.text) {
                    map.merged.push(key.text.clone());
                    map.entries.push((key, value));
                }
            }
        }
        return Ok(());
    }
    let Some(place) = map.place(&name.text) else {
        map.entries.push((name, tree));
        return Ok(());
    };
    if let Some(n) = map.merged.iter().position(|merged| *merged == name.text) {
        map.merged.swap_remove(n);
        map.entries[place] = (name, tree);
        return Ok(());
    }
    let first = map.entries[place].0.span.line;
    let message = format!("key `{}` is given twice, first on line {first}", name.text);
    Err(Problem::new(name.span, message))
}

fn count(tree: &Tree) -> usize {
    1 + match &tree.data {
        Data::Scalar(_) => 0,
        Data::List(items) => items.iter().map(count).sum(),
        Data::Map(entries) => entries.iter().map(|(_, tree)| count(tree)).sum(),
    }
}
