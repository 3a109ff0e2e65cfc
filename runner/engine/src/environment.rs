//! Which parameters of a step come from the environment, and what the variables were.
//!
//! No part of any key: a value counts, not where it came from. It only says why a value changed.

use std::collections::BTreeMap;

use plan::{Plan, Step};
use serde_json::Value;

/// Values of environment variables by their names, by the path of the parameter they are in.
pub(crate) type StepEnvironment = BTreeMap<String, BTreeMap<String, Value>>;

/// A variable that had another value.
#[derive(Debug, PartialEq)]
pub(crate) struct VariableChange {
    pub name: String,
    /// The parameter that is made of it.
    pub path: String,
    pub old: Value,
    pub new: Value,
}

/// What the steps of a plan take from the environment, by their names; without those that take
/// nothing, and without parameters that do not decide a result, such as where a store is.
pub(crate) fn of_plan(plan: &Plan) -> BTreeMap<String, StepEnvironment> {
    if plan.environment.is_empty() {
        return BTreeMap::new();
    }
    let steps = plan.steps().map(|step| (step.name.clone(), of_step(plan, step)));
    steps.filter(|(_, environment)| !environment.is_empty()).collect()
}

pub(crate) fn of_step(plan: &Plan, step: &Step) -> StepEnvironment {
    let node = step.variant.as_ref().map_or(&step.name, |variant| &variant.node);
    let prefix = format!("nodes.{node}.");
    let places = plan.environment.range(prefix.clone()..);
    let own = places.map_while(|(place, values)| Some((place.strip_prefix(&prefix)?, values)));
    // What is in a list decides as the list does.
    let decides = |path: &str| {
        let found = path.split('.').try_fold(&step.key_params, |here, part| match here {
            Value::Object(map) => map.get(part),
            other => Some(other),
        });
        found.is_some()
    };
    own.filter(|(path, _)| decides(path))
        .map(|(path, values)| (path.to_owned(), values.clone()))
        .collect()
}

/// Whether a place is the parameter at `path` or a part of it.
pub(crate) fn is_within(place: &str, path: &str) -> bool {
    place.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The first variable within the parameter at `path` that had another value before.
pub(crate) fn change_at(
    path: &str,
    before: &StepEnvironment,
    now: &StepEnvironment,
) -> Option<VariableChange> {
    now.iter().filter(|(place, _)| is_within(place, path)).find_map(|(place, values)| {
        let old = before.get(place)?;
        let changed = |(name, new): (&String, &Value)| {
            let old = old.get(name).filter(|old| *old != new)?;
            let (name, path) = (name.clone(), place.clone());
            Some(VariableChange { name, path, old: old.clone(), new: new.clone() })
        };
        values.iter().find_map(changed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(place: &str, value: i64) -> StepEnvironment {
        let values = BTreeMap::from([("RELABEL_X".to_owned(), Value::from(value))]);
        BTreeMap::from([(place.to_owned(), values)])
    }

    #[test]
    fn a_variable_counts_only_where_it_was_before() {
        let now = environment("lanes.0.budget", 5);
        let change = |path, before: &StepEnvironment| change_at(path, before, &now);
        let found = change("lanes.0.budget", &environment("lanes.0.budget", 4)).unwrap();
        assert_eq!((found.name.as_str(), &found.old), ("RELABEL_X", &Value::from(4)));
        assert!(change("lanes", &environment("lanes.0.budget", 4)).is_some());
        assert_eq!(change("lanes.0.bud", &environment("lanes.0.budget", 4)), None);
        assert_eq!(change("lanes.0.budget", &environment("lanes.0.budget", 5)), None);
        assert_eq!(change("lanes.0.budget", &environment("k", 4)), None);
        assert_eq!(change("lanes.0.budget", &StepEnvironment::new()), None);
    }
}
