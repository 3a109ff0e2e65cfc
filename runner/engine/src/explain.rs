//! All facts of one unit's key beside those of the last run, by the judge that `plan` and `run` use.

use cache::Digest;
use plan::{Plan, StepId};
use serde_json::Value;

use crate::engine::{Engine, EngineError, units_of};
use crate::resolve::{UnitState, giver};
use crate::unit::UnitName;

/// A fact now and in the last run.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedFact {
    pub name: String,
    /// What gives it, for an input: a node, a port of one, or a part of the node itself.
    pub from: Option<String>,
    pub before: Option<Value>,
    pub now: Option<Value>,
    /// `same`, `changed`, `added` or `removed`.
    pub state: &'static str,
}

/// A unit with all that is known of its key.
#[derive(Debug, Clone)]
pub struct ExplainedUnit {
    pub unit: UnitName,
    pub kind: &'static str,
    pub state: UnitState,
    /// Absent while the key cannot be known.
    pub key: Option<Digest>,
    /// The key of the last run, if there was one.
    pub last_key: Option<Digest>,
    /// The last run of the unit failed.
    pub last_failed: bool,
    /// Units that have to run before the key can be known.
    pub waits_for: Vec<UnitName>,
    /// Empty while the key cannot be known.
    pub facts: Vec<ExplainedFact>,
}

impl Engine<'_> {
    /// Explains the units of a step, in the order they run. Writes nothing.
    pub fn explain(&self, plan: &Plan, step: StepId) -> Result<Vec<ExplainedUnit>, EngineError> {
        let selected = [step];
        let last = self.last_facts(plan);
        let planned = self.plan(plan, Some(&selected), &[])?;
        let units = units_of(plan, Some(&selected));
        let own = units.iter().zip(planned).filter(|(unit, _)| unit.step == step);
        let explained = own.map(|(unit, planned)| {
            let before = last.get(&unit.name);
            let no_facts = cache::Facts::new();
            let last_facts = before.map_or(&no_facts, |last| &last.facts);
            let comparisons = planned.facts.map(|facts| facts.compare(last_facts));
            let mut seen: Vec<String> = Vec::new();
            let facts = comparisons.into_iter().flatten().map(|fact| {
                let nth = seen.iter().filter(|name| **name == fact.name).count();
                seen.push(fact.name.clone());
                let port = fact.name.strip_prefix("input:");
                ExplainedFact {
                    from: port.and_then(|port| giver(plan, unit, port, nth)),
                    state: fact.state(),
                    name: fact.name,
                    before: fact.before,
                    now: fact.now,
                }
            });
            ExplainedUnit {
                facts: facts.collect(),
                unit: planned.unit,
                kind: planned.kind,
                state: planned.state,
                key: planned.key,
                last_key: before.map(|last| last.facts.key()),
                last_failed: before.is_some_and(|last| last.failed),
                waits_for: planned.waits_for,
            }
        });
        Ok(explained.collect())
    }
}
