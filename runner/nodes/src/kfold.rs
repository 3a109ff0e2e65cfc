//! `kfold`: puts every record into a fold.
//!
//! Within each class records are put in the order of a keyed hash of their id, and that order is
//! cut into k equal stretches. So the split depends on seed, ids and labels alone and not on the
//! order of rows, each class is spread evenly, and a new record moves only the few records at the
//! edges of the stretches.
//!
//! Records of one group stay together. A group stands in the order at the hash of the value that its
//! records share, the smallest of several, takes as much room as it has records, counts for the class
//! most of them have, and goes to the stretch its middle falls into. So no class is off its even share
//! in a fold by more than its largest group, and a group moves only when it stands at an edge, when
//! its records change the class that most of them have, or when it is joined with another.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use engine::{Digest, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, distinct, frame_port, strings};
use crate::draw::Draw;
use crate::groups::Groups;
use crate::kind::{Kind, Making};

/// Most classes that a warning lists.
const MOST_LISTED: usize = 8;

/// One column or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum GroupColumns {
    One(String),
    Several(Vec<String>),
}

impl GroupColumns {
    /// The columns with their places in the parameters.
    fn names(&self) -> Vec<(String, &str)> {
        match self {
            GroupColumns::One(name) => vec![("/group".to_owned(), name)],
            GroupColumns::Several(names) => {
                let places = names.iter().enumerate();
                places.map(|(n, name)| (format!("/group/{n}"), name.as_str())).collect()
            }
        }
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Number of folds.
    #[serde(default = "default_k")]
    #[schemars(range(min = 2, max = 1000))]
    k: u32,
    /// Spread every class evenly over the folds.
    #[serde(default = "yes")]
    stratify: bool,
    #[serde(default = "default_seed")]
    seed: u64,
    /// Column, or columns, whose equal values must not be in different folds, such as
    /// `duplicate_group`; records that are connected by any of several columns stay together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "GroupColumns")]
    group: Option<GroupColumns>,
}

fn default_k() -> u32 {
    5
}
fn yes() -> bool {
    true
}
fn default_seed() -> u64 {
    42
}

pub(crate) struct Kfold;

impl Kind for Kfold {
    type Params = Params;

    const NAME: &'static str = "kfold";
    const VERSION: u32 = 2;
    const SUMMARY: &'static str = "Adds fold_id: a seeded, stratified, grouped split into k folds.";

    fn input_ports() -> Vec<InputPort> {
        vec![frame_port(
            "input",
            "the records to split",
            &[("record_id", STRING), ("label", STRING)],
        )]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        if let Some(group) = &params.group {
            check_groups(group, &schema)?;
        }
        schema.set("fold_id", ColumnType::Integer);
        schema.folds = Some(params.k);
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(KfoldNode { params }))
    }
}

fn check_groups(group: &GroupColumns, schema: &Schema) -> Result<(), Vec<Finding>> {
    let names = group.names();
    let mut findings = Vec::new();
    if names.is_empty() {
        findings.push(Finding::param("/group", "no column is named"));
    }
    for (place, name) in names {
        let message = match schema.get(name) {
            Some(ColumnType::Float | ColumnType::Other) => {
                format!("column `{name}` is of a type that names no group")
            }
            Some(_) => continue,
            None if schema.open => continue,
            None => format!("no column `{name}` here"),
        };
        let finding = Finding::param(&place, message);
        findings.push(match plan::did_you_mean(name, schema.names()) {
            Some(near) if !schema.has(name) => finding.with_hint(format!("did you mean `{near}`?")),
            _ => finding.with_hint("a `duplicates` node before this one adds `duplicate_group`"),
        });
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

struct KfoldNode {
    params: Params,
}

/// Records that stay together: one, or those of a group.
struct Together {
    /// The first bytes of the smallest hash of what they share, of its id for a record alone; they
    /// nearly always tell two apart.
    order: u64,
    /// Where their rows are among those of all groups.
    rows: Range<u32>,
    class: u32,
}

impl Together {
    fn len(&self) -> usize {
        self.rows.len()
    }
}

/// Every row with the first row of its group, group by group; and where each row stands in the draw
/// by the values of its groups, `None` for a row without any.
type Grouped = (Vec<(u32, u32)>, Vec<Option<u64>>);

/// A million records are put together in little memory.
struct Split<'a> {
    ids: &'a StringChunked,
    draw: Draw,
    /// Each with the first row of its group.
    groups: Vec<(u32, u32)>,
    /// Names of the classes in order, which have numbers elsewhere.
    classes: Vec<&'a str>,
    all: Vec<Together>,
}

impl Node for KfoldNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let k = self.params.k as usize;
        if frame.height() < k {
            let message = format!("{} records cannot be split into {k} folds", frame.height());
            return Err(NodeError::input(message).with_hint("lower `k`, or bring more records"));
        }
        let labels = strings(frame, "label")?;
        let split = self.split(frame, strings(frame, "record_id")?, labels)?;
        if split.all.len() < k {
            let message = format!("{} groups cannot be split into {k} folds", split.all.len());
            return Err(NodeError::input(message)
                .with_hint("lower `k`, or group by a column with more values"));
        }
        let largest = split.all.iter().map(Together::len).max().unwrap_or(0);
        let folds = split.folds(k);
        drop(split);
        let mut table = frame.clone();
        table.with_column(Column::new("fold_id".into(), &folds))?;
        let mut outputs = Outputs::frame(table);
        if self.params.group.is_some() && largest > frame.height() / k {
            let text = format!(
                "the largest group has {largest} of {} records, more than a fold should have",
                frame.height()
            );
            outputs.warn(text, Some("lower `k`, or group by something finer"));
        }
        self.warn_of_rare(labels, &folds, &mut outputs);
        Ok(outputs)
    }
}

impl KfoldNode {
    fn groups(&self, frame: &DataFrame, draw: &mut Draw) -> Result<Grouped, NodeError> {
        let mut groups = Groups::new(frame.height());
        let mut orders: Vec<Option<u64>> = vec![None; frame.height()];
        for (_, name) in self.params.group.iter().flat_map(GroupColumns::names) {
            let column = frame
                .column(name)
                .map_err(|_| NodeError::input(format!("column `{name}` is missing")))?
                .cast(&DataType::String)?;
            let mut first: HashMap<&str, (usize, u64)> = HashMap::new();
            for (row, value) in column.str()?.iter().enumerate() {
                // No value is no group.
                let Some(value) = value else { continue };
                let place = || (row, start(&draw.place(value)));
                let (first, order) = *first.entry(value).or_insert_with(place);
                groups.join(first, row);
                orders[row] = Some(orders[row].map_or(order, |other| other.min(order)));
            }
        }
        let with_root = |row: usize| (groups.root(row) as u32, row as u32);
        let mut rows: Vec<(u32, u32)> = (0..frame.height()).map(with_root).collect();
        rows.sort_unstable();
        Ok((rows, orders))
    }

    /// The records by what must stay together, each row once.
    fn split<'a>(
        &self,
        frame: &DataFrame,
        ids: &'a StringChunked,
        labels: &'a StringChunked,
    ) -> Result<Split<'a>, NodeError> {
        let mut draw = Draw::new(&self.params.seed.to_le_bytes());
        let (groups, orders) = self.groups(frame, &mut draw)?;
        let own = ids
            .iter()
            .zip(orders)
            .map(|(id, order)| order.unwrap_or_else(|| start(&draw.place(id.unwrap_or_default()))));
        let orders: Vec<u64> = own.collect();
        let (class_of, classes) = match self.params.stratify {
            true => numbered(labels),
            false => (vec![0; frame.height()], vec![""]),
        };
        let mut all = Vec::with_capacity(frame.height());
        let mut end = 0;
        for rows in groups.chunk_by(|a, b| a.0 == b.0) {
            let order = rows.iter().map(|(_, row)| orders[*row as usize]).min();
            let order = order.expect("a group has a row");
            let class = most_frequent(&class_of, rows);
            let from = end;
            end += rows.len() as u32;
            all.push(Together { order, rows: from..end, class });
        }
        Ok(Split { ids, draw, groups, classes, all })
    }

    fn warn_of_rare(&self, labels: &StringChunked, folds: &[u32], outputs: &mut Outputs) {
        let k = self.params.k as usize;
        let mut classes: BTreeMap<&str, (usize, u32, bool)> = BTreeMap::new();
        for (label, fold) in labels.iter().zip(folds) {
            let Some(label) = label.filter(|label| !label.is_empty()) else { continue };
            let (records, first, one_fold) = classes.entry(label).or_insert((0, *fold, true));
            *records += 1;
            *one_fold &= first == fold;
        }
        let listed = |chosen: &dyn Fn(usize, bool) -> bool| -> Vec<String> {
            let chosen = classes.iter().filter(|(_, (records, _, one))| chosen(*records, *one));
            chosen.map(|(class, (records, ..))| format!("`{class}` ({records})")).collect()
        };
        let rare = listed(&|records, _| records < k && self.params.stratify);
        let hint = "their records are judged by models that saw few of the class, or none";
        warn_of(&rare, "fewer records than folds", hint, outputs);
        let in_one = listed(&|records, one_fold| records > 1 && one_fold);
        let hint = "their records are judged by models that never saw the class; group by \
                    something finer, or bring more records";
        warn_of(&in_one, "all records in one fold", hint, outputs);
    }
}

impl Split<'_> {
    /// Tells those apart that stand at one place in the draw: the smallest hash of their ids.
    fn tie(&self, n: u32) -> Option<Digest> {
        let mut draw = self.draw.clone();
        let ids = self.rows(n).map(|row| self.ids.get(row as usize).unwrap_or_default());
        ids.map(|id| draw.place(id)).min()
    }

    /// The order of two in the draw, each with the first bytes of its hash.
    fn compare(&self, a: (u64, u32), b: (u64, u32)) -> Ordering {
        a.0.cmp(&b.0).then_with(|| self.tie(a.1).cmp(&self.tie(b.1)))
    }

    fn rows(&self, n: u32) -> impl Iterator<Item = u32> {
        let Range { start, end } = self.all[n as usize].rows;
        self.groups[start as usize..end as usize].iter().map(|(_, row)| *row)
    }

    /// The fold of each record.
    fn folds(&self, k: usize) -> Vec<u32> {
        let mut classes: Vec<Vec<(u64, u32)>> = vec![Vec::new(); self.classes.len()];
        for (n, together) in (0..).zip(&self.all) {
            classes[together.class as usize].push((together.order, n));
        }
        let mut by_fold: Vec<Vec<u32>> = vec![Vec::new(); k];
        for (class, mut members) in self.classes.iter().zip(classes) {
            members.sort_unstable_by(|a, b| self.compare(*a, *b));
            // A start of its own for each class, or fold 0 would get every odd one out.
            let start = self.draw.clone().place(class).as_bytes()[0] as usize;
            let sizes = members.iter().map(|(_, n)| self.all[*n as usize].len());
            let count: usize = sizes.clone().sum();
            let mut before = 0;
            for ((_, n), size) in members.iter().zip(sizes) {
                let fold = (start + (2 * before + size - 1) * k / (2 * count)) % k;
                before += size;
                by_fold[fold].push(*n);
            }
        }
        self.fill_empty(&mut by_fold);
        let mut folds = vec![0u32; self.groups.len()];
        for (fold, members) in (0..).zip(&by_fold) {
            for n in members {
                self.rows(*n).for_each(|row| folds[row as usize] = fold);
            }
        }
        folds
    }

    /// Few records can leave a fold with none: it gets the smallest group of the fold with most.
    fn fill_empty(&self, by_fold: &mut [Vec<u32>]) {
        while let Some(empty) = by_fold.iter().position(Vec::is_empty) {
            let fullest =
                (0..by_fold.len()).max_by_key(|fold| (by_fold[*fold].len(), usize::MAX - fold));
            let from = fullest.unwrap_or(empty);
            let size = |n: u32| self.all[n as usize].len();
            let place = |n: u32| (self.all[n as usize].order, n);
            let smaller = |a: u32, b: u32| {
                size(a).cmp(&size(b)).then_with(|| self.compare(place(a), place(b)))
            };
            let members = by_fold[from].iter().enumerate();
            let smallest = members.min_by(|a, b| smaller(*a.1, *b.1)).map(|(at, _)| at);
            // There are at least as many groups as folds, so the fullest has two.
            let (true, Some(at)) = (by_fold[from].len() > 1, smallest) else { return };
            let moved = by_fold[from].remove(at);
            by_fold[empty].push(moved);
        }
    }
}

/// The first bytes of a hash.
fn start(hash: &Digest) -> u64 {
    u64::from_be_bytes(hash.as_bytes().first_chunk().copied().unwrap_or_default())
}

/// The number of each row's label, and the labels by their numbers, in order.
fn numbered(labels: &StringChunked) -> (Vec<u32>, Vec<&str>) {
    let labels = || labels.iter().map(Option::unwrap_or_default);
    let names = distinct(labels());
    let numbers: PlHashMap<&str, u32> = names.iter().copied().zip(0..).collect();
    (labels().map(|label| numbers[label]).collect(), names)
}

/// The class most of the rows have; the first of several.
fn most_frequent(class_of: &[u32], rows: &[(u32, u32)]) -> u32 {
    let mut classes = rows.iter().map(|(_, row)| class_of[*row as usize]);
    if rows.len() == 1 {
        return classes.next().unwrap_or_default();
    }
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    classes.for_each(|class| *counts.entry(class).or_default() += 1);
    let best = counts.into_iter().max_by_key(|(class, count)| (*count, Reverse(*class)));
    best.map_or(0, |(class, _)| class)
}

fn warn_of(classes: &[String], what: &str, hint: &str, outputs: &mut Outputs) {
    if classes.is_empty() {
        return;
    }
    let who = if classes.len() == 1 { "class has" } else { "classes have" };
    let more = match classes.len().saturating_sub(MOST_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = classes[..classes.len().min(MOST_LISTED)].join(", ");
    outputs.warn(format!("{} {who} {what}: {shown}{more}", classes.len()), Some(hint));
}

#[cfg(test)]
mod tests;
