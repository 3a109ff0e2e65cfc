//! The facts that decide a unit's result: described once, used for the key and for explanations.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, Hasher};

/// Moves when the encoding of keys changes; part of every key.
const KEY_FORMAT: u64 = 1;

/// Something that decides a unit's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is, such as `param:confidence`, `input:input`, `file:data/x.csv`, `plugin`.
    pub name: String,
    /// Its value: a parameter as it is, a digest in hexadecimal digits.
    pub value: Value,
    /// Whether the name is for people only, as a path is: the content counts, not where it lies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unnamed: bool,
}

/// Facts in a fixed order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(Vec<Fact>);

/// The difference between two lists of facts: name, value before, value now.
pub type Explanation = Vec<(String, Option<Value>, Option<Value>)>;

/// A fact of now or of the last time, with its value in both.
#[derive(Debug, Clone, PartialEq)]
pub struct FactComparison {
    /// The name it has now, or had if it is gone.
    pub name: String,
    pub before: Option<Value>,
    pub now: Option<Value>,
}

impl FactComparison {
    /// `same`, `changed`, `added` or `removed`.
    pub fn state(&self) -> &'static str {
        match (&self.before, &self.now) {
            (None, _) => "added",
            (_, None) => "removed",
            (before, now) if before == now => "same",
            _ => "changed",
        }
    }
}

impl Facts {
    pub fn new() -> Facts {
        Facts::default()
    }

    pub fn add(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.push(Fact { name: name.into(), value: value.into(), unnamed: false });
    }

    /// Adds a fact whose name does not count, only its value and its place in the order.
    pub fn add_unnamed(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.push(Fact { name: name.into(), value: value.into(), unnamed: true });
    }

    /// Adds every leaf of a JSON value as a fact of its own, so that a change names its path.
    pub fn add_tree(&mut self, prefix: &str, value: &Value) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort_unstable();
                for key in keys {
                    let path = if prefix.ends_with(':') {
                        format!("{prefix}{key}")
                    } else {
                        format!("{prefix}.{key}")
                    };
                    self.add_tree(&path, &map[key]);
                }
            }
            leaf => self.add(prefix, leaf.clone()),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.0.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|fact| fact.name == name).map(|fact| &fact.value)
    }

    /// The key: BLAKE3 over a canonical, length-prefixed encoding.
    pub fn key(&self) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(b"relabel-unit-key");
        hasher.update(&KEY_FORMAT.to_le_bytes());
        hasher.update(&(self.0.len() as u64).to_le_bytes());
        for fact in &self.0 {
            hasher.field(if fact.unnamed { b"" } else { fact.name.as_bytes() });
            encode(&fact.value, &mut hasher);
        }
        hasher.finish()
    }

    /// What is different from `before`, in the order of the facts.
    pub fn changes_since(&self, before: &Facts) -> Explanation {
        self.compare(before)
            .into_iter()
            .filter(|fact| fact.state() != "same")
            .map(|fact| (fact.name, fact.before, fact.now))
            .collect()
    }

    /// Every fact beside what it was before: those of now in their order, then those that are gone.
    ///
    /// Facts of one name are matched in their order. What is unnamed and finds no match by name is
    /// matched by its place, so that a file that only moved is the same.
    pub fn compare(&self, before: &Facts) -> Vec<FactComparison> {
        let mut left: Vec<Option<&Fact>> = before.0.iter().map(Some).collect();
        let mut partners: Vec<Option<&Fact>> = Vec::with_capacity(self.0.len());
        for (n, fact) in self.0.iter().enumerate() {
            // As a rule the lists are alike, and the partner stands at the same place.
            let is_it = |old: &Option<&Fact>| old.is_some_and(|old| old.name == fact.name);
            let place = match left.get(n).is_some_and(is_it) {
                true => Some(n),
                false => left.iter().position(is_it),
            };
            partners.push(place.and_then(|place| left[place].take()));
        }
        for (fact, partner) in self.0.iter().zip(&mut partners) {
            if fact.unnamed && partner.is_none() {
                let is_it = |old: &Option<&Fact>| old.is_some_and(|old| old.unnamed);
                *partner = left.iter().position(is_it).and_then(|place| left[place].take());
            }
        }
        let now = self.0.iter().zip(partners).map(|(fact, partner)| FactComparison {
            name: fact.name.clone(),
            before: partner.map(|old| old.value.clone()),
            now: Some(fact.value.clone()),
        });
        let gone = left.into_iter().flatten().map(|old| FactComparison {
            name: old.name.clone(),
            before: Some(old.value.clone()),
            now: None,
        });
        now.chain(gone).collect()
    }
}

/// Canonical bytes of a JSON value: a type tag, a length, the content; keys of objects sorted.
fn encode(value: &Value, hasher: &mut Hasher) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(value) => hasher.update(if *value { b"t" } else { b"f" }),
        Value::Number(number) => {
            // 5 and 5.0 are one parameter value; integers beyond 2^53 keep their digits.
            let text = match number.as_f64() {
                Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => format!("{float:.0}"),
                _ => number.to_string(),
            };
            hasher.update(b"d");
            hasher.field(text.as_bytes());
        }
        Value::String(text) => {
            hasher.update(b"s");
            hasher.field(text.as_bytes());
        }
        Value::Array(items) => {
            hasher.update(b"a");
            hasher.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| encode(item, hasher));
        }
        Value::Object(map) => {
            hasher.update(b"o");
            hasher.update(&(map.len() as u64).to_le_bytes());
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            for key in keys {
                hasher.field(key.as_bytes());
                encode(&map[key], hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_depends_on_every_fact_and_on_nothing_else() {
        let facts = |pairs: &[(&str, Value)]| {
            let mut facts = Facts::new();
            pairs.iter().for_each(|(name, value)| facts.add(*name, value.clone()));
            facts.key()
        };
        let base = facts(&[("a", json!("x")), ("b", json!(1))]);
        assert_eq!(base, facts(&[("a", json!("x")), ("b", json!(1.0))]));
        assert_ne!(base, facts(&[("a", json!("x")), ("b", json!(2))]));
        assert_ne!(base, facts(&[("a", json!("xb")), ("", json!(1))]));
        assert_ne!(base, facts(&[("b", json!(1)), ("a", json!("x"))]));
        assert_ne!(base, facts(&[("a", json!("x"))]));
        assert_eq!(
            facts(&[("p", json!({"x": 1, "y": [2]}))]),
            facts(&[("p", json!({"y": [2], "x": 1}))])
        );
    }

    #[test]
    fn unnamed_facts_count_by_value() {
        let key = |path: &str, digest: &str| {
            let mut facts = Facts::new();
            facts.add_unnamed(format!("file:{path}"), digest);
            facts.key()
        };
        assert_eq!(key("a.csv", "1"), key("b.csv", "1"));
        assert_ne!(key("a.csv", "1"), key("a.csv", "2"));
    }

    #[test]
    fn changes_name_the_path() {
        let facts = |k: i64| {
            let mut facts = Facts::new();
            facts.add_tree("param:", &json!({"text": {"min": k}, "mode": "fast"}));
            facts
        };
        let changes = facts(5).changes_since(&facts(3));
        assert_eq!(changes, vec![("param:text.min".into(), Some(json!(3)), Some(json!(5)))]);
    }

    #[test]
    fn a_comparison_has_every_fact() {
        let facts = |names: &[(&str, i64)], files: &[(&str, &str)]| {
            let mut facts = Facts::new();
            names.iter().for_each(|(name, value)| facts.add(*name, *value));
            files.iter().for_each(|(name, digest)| facts.add_unnamed(*name, *digest));
            facts
        };
        let before = facts(&[("k", 1), ("input:models", 5), ("input:models", 6)], &[("f:a", "1")]);
        let now = facts(
            &[("k", 2), ("input:models", 5), ("input:models", 7), ("new", 0)],
            &[("f:b", "1")],
        );
        let states: Vec<String> = now
            .compare(&before)
            .iter()
            .map(|fact| format!("{} {}", fact.name, fact.state()))
            .collect();
        let wanted =
            ["k changed", "input:models same", "input:models changed", "new added", "f:b same"];
        assert_eq!(states, wanted);
        assert_eq!(now.changes_since(&before).len(), 3);
        let gone = facts(&[], &[]).compare(&before);
        assert!(gone.len() == 4 && gone.iter().all(|fact| fact.state() == "removed"));
    }
}
