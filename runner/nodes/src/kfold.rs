//! `kfold`: puts every record into a fold.
//!
//! Within each class records are put in the order of a keyed hash of their id, and that order is
//! cut into k equal stretches. So the split depends on seed, ids and labels alone and not on the
//! order of rows, each class is spread evenly, and a new record moves only the few records at the
//! edges of the stretches.
//!
//! Records of one group stay together. A group stands in the order at the smallest hash of its
//! records, takes as much room as it has records, counts for the class most of them have, and goes
//! to the stretch its middle falls into. So no class is off its even share in a fold by more than
//! its largest group, and a group moves only when it stands at an edge, or a new record of its own
//! has a smaller hash than all it had.

use std::collections::{BTreeMap, HashMap};

use engine::{Digest, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, frame_port, strings};
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
    const VERSION: u32 = 1;
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
struct Together<'a> {
    /// The smallest hash of their ids, and the first of their rows.
    order: (Digest, usize),
    /// Each with the first row of the group.
    rows: &'a [(u32, u32)],
    class: &'a str,
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
        let groups = self.groups(frame)?;
        let all = self.together(&groups, strings(frame, "record_id")?, labels);
        if all.len() < k {
            let message = format!("{} groups cannot be split into {k} folds", all.len());
            return Err(NodeError::input(message)
                .with_hint("lower `k`, or group by a column with more values"));
        }
        let largest = all.iter().map(|together| together.rows.len()).max().unwrap_or(0);
        let folds = self.folds(&all, frame.height());
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
    fn hash(&self, text: &str) -> Digest {
        let mut bytes = self.params.seed.to_le_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        Digest::of(&bytes)
    }

    /// Every row with the first row of its group, group by group.
    fn groups(&self, frame: &DataFrame) -> Result<Vec<(u32, u32)>, NodeError> {
        let mut groups = Groups::new(frame.height());
        for (_, name) in self.params.group.iter().flat_map(GroupColumns::names) {
            let column = frame
                .column(name)
                .map_err(|_| NodeError::input(format!("column `{name}` is missing")))?
                .cast(&DataType::String)?;
            let mut first: HashMap<&str, usize> = HashMap::new();
            for (row, value) in column.str()?.iter().enumerate() {
                // No value is no group.
                if let Some(value) = value {
                    groups.join(*first.entry(value).or_insert(row), row);
                }
            }
        }
        let with_root = |row: usize| (groups.root(row) as u32, row as u32);
        let mut rows: Vec<(u32, u32)> = (0..frame.height()).map(with_root).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    /// The records by what must stay together, each row once.
    fn together<'a>(
        &self,
        groups: &'a [(u32, u32)],
        ids: &StringChunked,
        labels: &'a StringChunked,
    ) -> Vec<Together<'a>> {
        let labels: Vec<&str> = labels.iter().map(Option::unwrap_or_default).collect();
        let hashes: Vec<Digest> = ids.iter().map(|id| self.hash(id.unwrap_or(""))).collect();
        let together = groups.chunk_by(|a, b| a.0 == b.0).map(|rows| {
            let order = rows.iter().map(|(_, row)| (hashes[*row as usize], *row as usize)).min();
            let order = order.expect("a group has a row");
            let class = if self.params.stratify { most_frequent(&labels, rows) } else { "" };
            Together { order, rows, class }
        });
        together.collect()
    }

    /// The fold of each record.
    fn folds(&self, all: &[Together<'_>], height: usize) -> Vec<u32> {
        let k = self.params.k as usize;
        // With the first bytes of what they are ordered by, which nearly always tell.
        let mut classes: BTreeMap<&str, Vec<(u64, u32)>> = BTreeMap::new();
        for (place, together) in (0..).zip(all) {
            let start = together.order.0.as_bytes().first_chunk().copied().unwrap_or_default();
            let start = u64::from_be_bytes(start);
            classes.entry(together.class).or_default().push((start, place));
        }
        let mut by_fold: Vec<Vec<&Together<'_>>> = (0..k).map(|_| Vec::new()).collect();
        for (class, mut members) in classes {
            let order = |place: u32| all[place as usize].order;
            members
                .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| order(a.1).cmp(&order(b.1))));
            let members = members.into_iter().map(|(_, place)| &all[place as usize]);
            // A start of its own for each class, or fold 0 would get every odd one out.
            let start = self.hash(class).as_bytes()[0] as usize;
            let count: usize = members.clone().map(|together| together.rows.len()).sum();
            let mut before = 0;
            for together in members {
                let size = together.rows.len();
                let fold = (start + (2 * before + size - 1) * k / (2 * count)) % k;
                before += size;
                by_fold[fold].push(together);
            }
        }
        fill_empty(&mut by_fold);
        let mut folds = vec![0u32; height];
        for (fold, members) in by_fold.iter().enumerate() {
            for (_, row) in members.iter().flat_map(|together| together.rows) {
                folds[*row as usize] = fold as u32;
            }
        }
        folds
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

/// The label most of the rows have; the smallest of several.
fn most_frequent<'a>(labels: &[&'a str], rows: &[(u32, u32)]) -> &'a str {
    let mut labels = rows.iter().map(|(_, row)| labels[*row as usize]);
    if rows.len() == 1 {
        return labels.next().unwrap_or_default();
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    labels.for_each(|label| *counts.entry(label).or_default() += 1);
    let best = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)));
    best.map_or("", |(label, _)| label)
}

/// Few records can leave a fold with none: it gets the smallest group of the fold with most groups.
fn fill_empty(by_fold: &mut [Vec<&Together<'_>>]) {
    while let Some(empty) = by_fold.iter().position(Vec::is_empty) {
        let fullest =
            (0..by_fold.len()).max_by_key(|fold| (by_fold[*fold].len(), usize::MAX - fold));
        let from = fullest.unwrap_or(empty);
        let smallest = by_fold[from]
            .iter()
            .enumerate()
            .min_by_key(|(_, together)| (together.rows.len(), together.order))
            .map(|(place, _)| place);
        // There are at least as many groups as folds, so the fullest has two.
        let (true, Some(place)) = (by_fold[from].len() > 1, smallest) else { return };
        let moved = by_fold[from].remove(place);
        by_fold[empty].push(moved);
    }
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::columns::string_column;

    fn split(frame: &DataFrame, k: u32, group: Option<GroupColumns>) -> Vec<u32> {
        let node = KfoldNode { params: Params { k, stratify: true, seed: 42, group } };
        let [ids, labels] = ["record_id", "label"].map(|name| strings(frame, name).unwrap());
        let groups = node.groups(frame).unwrap();
        node.folds(&node.together(&groups, ids, labels), frame.height())
    }

    fn by(column: &str) -> Option<GroupColumns> {
        Some(GroupColumns::One(column.to_owned()))
    }

    /// Records n of `rows`, five classes of different sizes, groups of up to four.
    fn records(rows: impl Iterator<Item = usize>) -> DataFrame {
        let rows: Vec<usize> = rows.collect();
        let mixed = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let column = |name: &str, text: &dyn Fn(usize) -> Option<String>| {
            let texts: Vec<Option<String>> = rows.iter().map(|n| text(*n)).collect();
            string_column(name, texts.iter().map(Option::as_deref))
        };
        crate::columns::frame(vec![
            column("record_id", &|n| Some(format!("r{n}"))),
            column("label", &|n| Some(format!("c{}", (mixed(n / 4) % 15 + 1).ilog2()))),
            column("thread", &|n| (n % 3 != 0).then(|| format!("t{}", n / 4))),
            column("author", &|n| (n % 40 == 1).then(|| format!("a{}", n / 400))),
        ])
        .unwrap()
    }

    #[test]
    fn a_group_is_in_one_fold_and_classes_are_spread() {
        let frame = records(4..10_000);
        let folds = split(&frame, 5, by("thread"));
        let threads = frame.column("thread").unwrap().str().unwrap();
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for (thread, fold) in threads.iter().zip(&folds) {
            if let Some(thread) = thread {
                assert_eq!(seen.entry(thread).or_insert(*fold), fold, "{thread}");
            }
        }
        let labels = strings(&frame, "label").unwrap();
        let classes: BTreeSet<&str> = labels.iter().flatten().collect();
        assert!(classes.len() > 2);
        for class in classes {
            let mut counts = [0usize; 5];
            for (label, fold) in labels.iter().zip(&folds) {
                counts[*fold as usize] += usize::from(label == Some(class));
            }
            let even = counts.iter().sum::<usize>() / 5;
            assert!(counts.iter().all(|count| count.abs_diff(even) <= 4), "{class} {counts:?}");
        }
    }

    #[test]
    fn groups_of_several_columns_are_connected() {
        let frame = records(4..4000);
        let both = GroupColumns::Several(vec!["thread".into(), "author".into()]);
        let folds = split(&frame, 4, Some(both));
        for column in ["thread", "author"] {
            let values = frame.column(column).unwrap().str().unwrap();
            let mut seen: HashMap<&str, u32> = HashMap::new();
            for (value, fold) in values.iter().zip(&folds) {
                if let Some(value) = value {
                    assert_eq!(seen.entry(value).or_insert(*fold), fold, "{column} {value}");
                }
            }
        }
    }

    #[test]
    fn groups_of_one_change_nothing() {
        let frame = records(4..1000);
        assert_eq!(split(&frame, 5, None), split(&frame, 5, by("record_id")));
    }

    #[test]
    fn a_few_more_records_move_few_others() {
        for group in [None, by("thread")] {
            let before = split(&records(4..20_000), 5, group.clone());
            let after = split(&records(4..20_200), 5, group);
            let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            assert!(moved * 100 < before.len(), "{moved} of {} moved", before.len());
        }
    }

    #[test]
    fn no_order_of_rows_changes_a_fold() {
        let (forwards, backwards) = (records(4..2000), records((4..2000).rev()));
        let mut other = split(&backwards, 5, by("thread"));
        other.reverse();
        assert_eq!(split(&forwards, 5, by("thread")), other);
    }

    #[test]
    fn no_fold_is_empty_however_rare_the_classes() {
        for count in 5..30 {
            let ids: Vec<String> = (0..count).map(|n| format!("r{n}")).collect();
            let labels = ids.iter().map(|id| Some(id.as_str()));
            let frame = crate::columns::frame(vec![
                string_column("record_id", labels.clone()),
                string_column("label", labels),
            ]);
            let folds: BTreeSet<u32> = split(&frame.unwrap(), 5, None).into_iter().collect();
            assert_eq!(folds.len(), 5, "{count} records of as many classes");
        }
    }
}
