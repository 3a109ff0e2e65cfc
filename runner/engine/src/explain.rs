//! All facts of one unit's key beside those of the last run, by the judge that `plan` and `run` use.

use cache::Digest;
use plan::{Plan, StepId};
use serde_json::Value;

use crate::engine::{Engine, EngineError, input_digest, units_of};
use crate::environment::{self, StepEnvironment};
use crate::resolve::{PlannedUnit, UnitState, giver};
use crate::unit::{Unit, UnitName};

/// A fact now and in the last run.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedFact {
    pub name: String,
    /// What gives it: for an input a node, a port of one, or a part of the node itself; for a
    /// parameter the environment variables in it.
    pub from: Option<String>,
    pub before: Option<Value>,
    /// Absent for what is gone or not known yet.
    pub now: Option<Value>,
    /// `same`, `changed`, `added` or `removed`; `waits` for an input that is not known yet.
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
    /// All that is known by now; empty where that cannot be had.
    pub facts: Vec<ExplainedFact>,
}

impl Engine<'_> {
    /// Explains the units of a step, in the order they run. Writes nothing.
    pub fn explain(&self, plan: &Plan, step: StepId) -> Result<Vec<ExplainedUnit>, EngineError> {
        let selected = [step];
        let last = self.last_facts(plan);
        let planned = self.plan(plan, Some(&selected), &[])?;
        let units = units_of(plan, Some(&selected));
        let nodes = self.nodes(plan, &units)?;
        let node = nodes[&step].as_ref();
        let environment = environment::of_step(plan, plan.step(step));
        let mut file_digests = self.file_digests();
        let own = units.iter().zip(&planned).filter(|(unit, _)| unit.step == step);
        let explained = own.map(|(unit, own)| {
            let facts = own.facts.clone().or_else(|| {
                let mut judge = self.judge(plan, &last, &mut file_digests);
                Some(judge.facts(unit, node, &known_inputs(plan, unit, &planned)).ok()?.0)
            });
            let planned = own.clone();
            let before = last.get(&unit.name);
            let no_facts = cache::Facts::new();
            let last_facts = before.map_or(&no_facts, |last| &last.facts);
            let comparisons = facts.map(|facts| facts.compare(last_facts));
            let mut seen: Vec<String> = Vec::new();
            let facts = comparisons.into_iter().flatten().map(|fact| {
                let nth = seen.iter().filter(|name| **name == fact.name).count();
                seen.push(fact.name.clone());
                let port = fact.name.strip_prefix("input:");
                let param = fact.name.strip_prefix("param:");
                let waits = port.is_some() && fact.now == Some(Value::Null);
                let given = port.and_then(|port| giver(plan, unit, port, nth));
                ExplainedFact {
                    from: given.or_else(|| variables_in(param?, &environment)),
                    state: if waits { "waits" } else { fact.state() },
                    name: fact.name,
                    before: fact.before,
                    now: fact.now.filter(|_| !waits),
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

/// Logical digests of what a unit reads, where they are known.
fn known_inputs(plan: &Plan, unit: &Unit, planned: &[PlannedUnit]) -> Vec<Option<Digest>> {
    let records = unit.needs.iter().map(|need| planned[need.index()].record.as_ref()).enumerate();
    records.map(|(n, record)| Some(input_digest(plan, unit, n, record?))).collect()
}

/// `${env:NAME}` for each variable within the parameter at `path`.
fn variables_in(path: &str, environment: &StepEnvironment) -> Option<String> {
    let places = environment.iter().filter(|(place, _)| environment::is_within(place, path));
    let mut names: Vec<&String> = places.flat_map(|(_, values)| values.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let references: Vec<String> = names.iter().map(|name| format!("${{env:{name}}}")).collect();
    (!references.is_empty()).then(|| references.join(", "))
}
