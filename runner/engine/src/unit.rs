//! Units: what is cached and scheduled. A step is one unit; or one for each fold and one that puts
//! the folds together; before the folds there may be one that chooses what they all use.

use std::fmt;

use plan::{Plan, StepId};

/// A unit's place in the list; dense from 0, in an order in which inputs come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub u32);

impl UnitId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which part of a step a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All of it, or what puts the folds together.
    Whole,
    /// What is chosen before any fold runs.
    Choice,
    Fold(u32),
}

impl Part {
    /// The word in documents for programs.
    pub fn word(self) -> &'static str {
        match self {
            Part::Whole => "whole",
            Part::Choice => "choice",
            Part::Fold(_) => "fold",
        }
    }
}

/// What people call a unit: `oof`, `oof[choice]` or `oof[2]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    pub node: String,
    pub part: Part,
}

impl UnitName {
    /// For a variant of a node with a matrix: the node, and what the variant is called.
    pub fn variant(&self) -> Option<(&str, &str)> {
        variant_of(&self.node)
    }

    pub fn fold(&self) -> Option<u32> {
        match self.part {
            Part::Fold(fold) => Some(fold),
            Part::Whole | Part::Choice => None,
        }
    }
}

/// `oof` and `plugin=linear` of `oof[plugin=linear]`; `None` for what is no variant.
pub fn variant_of(node: &str) -> Option<(&str, &str)> {
    // Names of nodes have no brackets, values in the name of a variant may.
    node.strip_suffix(']')?.split_once('[')
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Whole => f.write_str(&self.node),
            Part::Choice => write!(f, "{}[choice]", self.node),
            Part::Fold(fold) => write!(f, "{}[{fold}]", self.node),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Unit {
    pub id: UnitId,
    pub step: StepId,
    pub name: UnitName,
    /// Units whose outputs this one reads: those of the step's inputs in their order, then the
    /// choice if there is one, then the folds.
    pub needs: Vec<UnitId>,
    /// Units that read this one's outputs.
    pub readers: Vec<UnitId>,
}

/// All units of a plan, or of a selection of its steps.
#[derive(Debug, Clone)]
pub struct Units(Vec<Unit>);

impl Units {
    /// Cuts the selected steps and whatever they need into units.
    pub fn new(plan: &Plan, selected: &[StepId]) -> Units {
        let mut units: Vec<Unit> = Vec::new();
        let mut whole: Vec<Option<UnitId>> = vec![None; plan.len()];
        for step in plan.with_needs(selected).into_iter().map(|id| plan.step(id)) {
            let inputs: Vec<UnitId> = step
                .inputs
                .iter()
                .map(|input| whole[input.step.index()].expect("inputs come first"))
                .collect();
            let mut add = |part, needs: Vec<UnitId>| {
                let id = UnitId(units.len() as u32);
                let name = UnitName { node: step.name.clone(), part };
                units.push(Unit { id, step: step.id, name, needs, readers: Vec::new() });
                id
            };
            let mut needs = inputs.clone();
            needs.extend(step.choice.then(|| add(Part::Choice, inputs)));
            let folds: Vec<UnitId> =
                (0..step.folds).map(|fold| add(Part::Fold(fold), needs.clone())).collect();
            needs.extend(folds);
            whole[step.id.index()] = Some(add(Part::Whole, needs));
        }
        for n in 0..units.len() {
            let mut needs = units[n].needs.clone();
            needs.sort_unstable();
            needs.dedup();
            for need in needs {
                units[need.index()].readers.push(UnitId(n as u32));
            }
        }
        Units(units)
    }

    pub fn get(&self, id: UnitId) -> &Unit {
        &self.0[id.index()]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
