//! Why a unit runs: a closed set of reasons, in the user's words.
//!
//! `uncacheable` is not among them: all that a node kind may add to its key can be encoded, so
//! there is no unit that cannot be cached.

use cache::Facts;
use serde_json::{Value, json};

/// The first thing that made a unit run.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    FirstRun,
    ParamsChanged {
        path: String,
        old: Value,
        new: Value,
    },
    /// What arrives on `port` has changed; `from` is what gives it.
    InputChanged {
        port: String,
        from: String,
    },
    FileChanged {
        path: String,
    },
    PluginChanged {
        old: String,
        new: String,
    },
    KindVersionChanged {
        old: String,
        new: String,
    },
    TaxonomyChanged,
    LedgerChanged,
    /// The parameter at `path` is made of an environment variable that had another value.
    EnvChanged {
        name: String,
        path: String,
        old: Value,
        new: Value,
    },
    Forced,
    OutputMissing,
    OutputCorrupt,
    TargetChanged,
    PreviousFailed,
}

impl Reason {
    /// The word of the closed set.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::FirstRun => "first-run",
            Reason::ParamsChanged { .. } => "params-changed",
            Reason::InputChanged { .. } => "input-changed",
            Reason::FileChanged { .. } => "file-changed",
            Reason::PluginChanged { .. } => "plugin-changed",
            Reason::KindVersionChanged { .. } => "kind-version-changed",
            Reason::TaxonomyChanged => "taxonomy-changed",
            Reason::LedgerChanged => "ledger-changed",
            Reason::EnvChanged { .. } => "env-changed",
            Reason::Forced => "forced",
            Reason::OutputMissing => "output-missing",
            Reason::OutputCorrupt => "output-corrupt",
            Reason::TargetChanged => "target-changed",
            Reason::PreviousFailed => "previous-failed",
        }
    }

    /// Whether it holds for this unit, whatever others with the same key have done.
    pub(crate) fn is_of_one_unit(&self) -> bool {
        matches!(self, Reason::Forced | Reason::TargetChanged)
    }

    /// One line for people.
    pub fn text(&self) -> String {
        match self {
            Reason::FirstRun => "first run".into(),
            // A parameter that earlier versions did not have.
            Reason::ParamsChanged { path, old, new } if old == new => format!("{path} is new"),
            Reason::ParamsChanged { path, old, new } => {
                format!("{path}: {} -> {}", shown(old), shown(new))
            }
            Reason::InputChanged { from, .. } => format!("{from} changed"),
            Reason::FileChanged { path } => format!("{path} changed"),
            Reason::PluginChanged { old, new } => format!("plugin: {old} -> {new}"),
            Reason::KindVersionChanged { old, new } => format!("node kind version {old} -> {new}"),
            Reason::TaxonomyChanged => "taxonomy changed".into(),
            Reason::LedgerChanged => "new decisions in the ledger".into(),
            Reason::EnvChanged { name, path, old, new } => {
                let (old, new) = (shown(old), shown(new));
                format!("{path} (environment variable {name}): {old} -> {new}")
            }
            Reason::Forced => "forced".into(),
            Reason::OutputMissing => "output is no longer in the cache".into(),
            Reason::OutputCorrupt => "output in the cache is damaged".into(),
            Reason::TargetChanged => "target is not what was written".into(),
            Reason::PreviousFailed => "failed last time".into(),
        }
    }

    pub fn to_json(&self) -> Value {
        let mut json = json!({ "code": self.code(), "text": self.text() });
        let more = match self {
            Reason::ParamsChanged { path, old, new } => {
                json!({ "path": path, "old": old, "new": new })
            }
            Reason::EnvChanged { name, path, old, new } => {
                json!({ "name": name, "path": path, "old": old, "new": new })
            }
            Reason::FileChanged { path } => json!({ "path": path }),
            Reason::InputChanged { port, from } => json!({ "port": port, "from": from }),
            Reason::PluginChanged { old, new } => json!({ "old": old, "new": new }),
            _ => json!({}),
        };
        if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
            json.extend(more);
        }
        json
    }

    /// The most telling difference between the facts of the last run and those of now.
    ///
    /// `None` when the facts are equal. What the user edits goes before what follows from it.
    pub(crate) fn of_change(before: &Facts, now: &Facts) -> Option<Reason> {
        let changes = now.changes_since(before);
        let find = |prefix: &str| changes.iter().find(|(name, ..)| name.starts_with(prefix));
        let text = |value: &Option<Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "none".into(),
        };
        if let Some((_, old, new)) = find("kind") {
            return Some(Reason::KindVersionChanged { old: text(old), new: text(new) });
        }
        if let Some((_, old, new)) = find("plugin:name").or_else(|| find("plugin:")) {
            return Some(Reason::PluginChanged { old: text(old), new: text(new) });
        }
        if let Some((name, old, new)) = find("param:") {
            let path = name["param:".len()..].to_owned();
            let (old, new) = (old.clone().unwrap_or_default(), new.clone().unwrap_or_default());
            let (path, old, new) = narrowed(path, old, new);
            return Some(Reason::ParamsChanged { path, old, new });
        }
        if find("taxonomy").is_some() {
            return Some(Reason::TaxonomyChanged);
        }
        if let Some((name, _, Some(_))) = find("file:") {
            return Some(Reason::FileChanged { path: name["file:".len()..].to_owned() });
        }
        if find("ledger").is_some() {
            return Some(Reason::LedgerChanged);
        }
        if let Some((name, ..)) = find("input:") {
            let port = name["input:".len()..].to_owned();
            return Some(Reason::InputChanged { from: port.clone(), port });
        }
        changes
            .first()
            .map(|(name, ..)| Reason::InputChanged { port: name.clone(), from: name.clone() })
    }
}

/// The first place within a list or map of the same shape where two values differ.
fn narrowed(mut path: String, mut old: Value, mut new: Value) -> (String, Value, Value) {
    loop {
        let place = match (&old, &new) {
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                (0..old.len()).find(|n| old[*n] != new[*n]).map(|n| n.to_string())
            }
            // Defaults are filled in behind what is written: the order of keys means nothing.
            (Value::Object(old), Value::Object(new))
                if old.len() == new.len() && old.keys().all(|key| new.contains_key(key)) =>
            {
                old.iter().find(|(key, value)| new[*key] != **value).map(|(key, _)| key.clone())
            }
            _ => None,
        };
        let Some(step) = place else { return (path, old, new) };
        path = format!("{path}.{step}");
        let part = |value: Value| match value {
            Value::Array(mut items) => {
                step.parse().map(|n| items.swap_remove(n)).unwrap_or_default()
            }
            Value::Object(mut map) => map.remove(&step).unwrap_or_default(),
            value => value,
        };
        (old, new) = (part(old), part(new));
    }
}

/// A value short enough for one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    if text.chars().count() <= 60 {
        return text;
    }
    let head: String = text.chars().take(57).collect();
    format!("{head}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_within_a_list_is_told_where_it_is() {
        let facts = |bar: f64, lanes: usize| {
            let lane = |n: usize| json!({"name": format!("l{n}"), "rule": {"bar": [1, bar]}});
            let mut facts = Facts::new();
            facts.add_tree("param:", &json!({"lanes": (0..lanes).map(lane).collect::<Vec<_>>()}));
            facts
        };
        let text = |now: &Facts| Reason::of_change(&facts(0.5, 2), now).unwrap().text();
        assert_eq!(text(&facts(0.7, 2)), "lanes.0.rule.bar.1: 0.5 -> 0.7");
        assert!(text(&facts(0.5, 1)).starts_with("lanes: [{"));
    }

    #[test]
    fn the_order_of_keys_does_not_hide_a_change() {
        let facts = |lane: Value| {
            let mut facts = Facts::new();
            facts.add_tree("param:", &json!({ "lanes": [lane] }));
            facts
        };
        let before = facts(json!({"name": "l", "rule": "ranked", "where": null, "budget": null}));
        let now = facts(json!({"name": "l", "budget": 3, "rule": "ranked", "where": null}));
        let reason = Reason::of_change(&before, &now).unwrap();
        assert_eq!(reason.text(), "lanes.0.budget: null -> 3");
    }

    #[test]
    fn another_version_of_the_node_kind_is_told_first() {
        let facts = |kind: &str, k: u32| {
            let mut facts = Facts::new();
            facts.add("kind", kind);
            facts.add("param:k", k);
            facts
        };
        let reason = Reason::of_change(&facts("kfold 1", 5), &facts("kfold 2", 4)).unwrap();
        assert_eq!(reason.code(), "kind-version-changed");
        assert_eq!(reason.text(), "node kind version kfold 1 -> kfold 2");
    }
}
