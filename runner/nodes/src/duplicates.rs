//! `duplicates`: groups of records whose texts are the same or nearly so, and groups whose records
//! are the same and their labels are not, the cheapest certain errors there are.
//!
//! Texts are the same if their words are, whatever case and punctuation; near if their runs of
//! words are shared to the threshold. A group is what is connected by such pairs; its id is the
//! smallest record id in it, so the order of rows changes nothing.

use std::collections::{BTreeMap, HashMap};

use engine::{Artifact, Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, ColumnType, Finding, InputPort, PortType, Schema};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{STRING, frame_port, string_column, strings};
use crate::groups::Groups;
use crate::kind::{Kind, Making};
use search::join_similar;
use shingles::Shingled;

mod search;
mod shingles;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Look for near duplicates too; without, texts must have the same words.
    #[serde(default = "yes")]
    near: bool,
    /// Share of the runs of words of two texts that both must have (Jaccard similarity).
    #[serde(default = "default_threshold")]
    #[schemars(range(min = 0.5, max = 1.0))]
    threshold: f64,
    /// Words in a run: more make texts with the same words in another order less alike. With 3 and a
    /// threshold of 0.8, one changed word keeps texts of some 30 words together, and few shorter ones.
    /// `words: 1, threshold: 0.77` finds it in texts of 8 words or more, and takes questions that
    /// differ in one word for the same.
    #[serde(default = "default_words")]
    #[schemars(range(min = 1, max = 20))]
    words: u32,
}

fn yes() -> bool {
    true
}
fn default_threshold() -> f64 {
    0.8
}
fn default_words() -> u32 {
    3
}

pub(crate) struct Duplicates;

impl Kind for Duplicates {
    type Params = Params;

    const NAME: &'static str = "duplicates";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Adds duplicate_group; same texts with other labels on a port.";

    fn input_ports() -> Vec<InputPort> {
        let columns = [("record_id", STRING), ("text", STRING), ("label", STRING)];
        vec![frame_port("input", "the records to compare", &columns)]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "conflicts"]
    }

    fn check(_: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        use ColumnType::{Boolean, Integer, String};
        let mut schema = context.schema("input").cloned().unwrap_or_default();
        schema.set("duplicate_group", String);
        schema.set("duplicate_kind", String);
        schema.set("duplicate_conflict", Boolean);
        let conflicts = Schema::new([
            ("duplicate_group", String),
            ("conflict_kind", String),
            ("record_id", String),
            ("label", String),
            ("group_labels", String),
            ("group_records", Integer),
            ("text", String),
        ]);
        let outputs =
            vec![("", PortType::Frame(schema)), ("conflicts", PortType::Frame(conflicts))];
        Ok(Checked { outputs, ..Checked::default() })
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(DuplicatesNode { params }))
    }
}

struct DuplicatesNode {
    params: Params,
}

/// Records by place in the order of their ids, with what they have in common.
struct Table<'a> {
    /// Row of each place.
    rows: Vec<usize>,
    ids: Vec<&'a str>,
    labels: Vec<Option<&'a str>>,
    /// The place whose id names the group, itself for a record alone.
    group: Vec<usize>,
    /// The first place with the same words.
    exact: Vec<usize>,
}

impl Node for DuplicatesNode {
    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let texts: Vec<&str> =
            strings(frame, "text")?.iter().map(Option::unwrap_or_default).collect();
        let row_ids: Vec<&str> =
            strings(frame, "record_id")?.iter().map(Option::unwrap_or_default).collect();
        let row_labels: Vec<Option<&str>> = strings(frame, "label")?.iter().collect();
        let mut rows: Vec<usize> = (0..frame.height()).collect();
        rows.sort_unstable_by_key(|row| row_ids[*row]);
        let texts: Vec<&str> = rows.iter().map(|row| texts[*row]).collect();
        let (exact, group) = self.groups(&texts, context)?;
        let table = Table {
            ids: rows.iter().map(|row| row_ids[*row]).collect(),
            labels: rows.iter().map(|row| row_labels[*row]).collect(),
            rows,
            group,
            exact,
        };
        table.outputs(frame, &texts)
    }
}

impl DuplicatesNode {
    /// For each text the first with the same words, and the first of its group.
    fn groups(
        &self,
        texts: &[&str],
        context: &RunContext<'_>,
    ) -> Result<(Vec<usize>, Vec<usize>), NodeError> {
        let shingled = shingled(texts, self.params.words as usize, context.threads);
        let mut first: HashMap<u128, usize> = HashMap::with_capacity(texts.len());
        let mut exact = Vec::with_capacity(texts.len());
        for (place, text) in shingled.iter().enumerate() {
            // A text without words is like no other.
            exact.push(match text.words {
                0 => place,
                words => *first.entry(words).or_insert(place),
            });
        }
        let mut groups = Groups::new(texts.len());
        exact.iter().enumerate().for_each(|(place, first)| {
            groups.join(*first, place);
        });
        if self.params.near {
            let distinct: Vec<usize> =
                (0..texts.len()).filter(|place| exact[*place] == *place).collect();
            let sets: Vec<&[u32]> =
                distinct.iter().map(|place| shingled[*place].shingles.as_slice()).collect();
            let mut near = Groups::new(sets.len());
            let go_on = |part: f32| {
                (context.progress)(0.2 + 0.8 * part);
                !context.cancel.is_cancelled()
            };
            join_similar(&sets, self.params.threshold, context.threads, &mut near, &go_on);
            if context.cancel.is_cancelled() {
                return Err(NodeError::Cancelled);
            }
            for (n, place) in distinct.iter().enumerate() {
                groups.join(distinct[near.root(n)], *place);
            }
        }
        let roots = (0..texts.len()).map(|place| groups.root(place)).collect();
        Ok((exact, roots))
    }
}

/// Cuts all texts into shingles, on several threads.
fn shingled(texts: &[&str], run: usize, threads: usize) -> Vec<Shingled> {
    let mut all = vec![Shingled::default(); texts.len()];
    let share = texts.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (texts, all) in texts.chunks(share).zip(all.chunks_mut(share)) {
            scope.spawn(move || {
                let mut words = Vec::new();
                for (text, shingled) in texts.iter().zip(all) {
                    *shingled = Shingled::new(text, run, &mut words);
                }
            });
        }
    });
    all
}

impl Table<'_> {
    /// The places of each group of two or more, by the place that names it.
    fn members(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut sizes = vec![0usize; self.group.len()];
        self.group.iter().for_each(|group| sizes[*group] += 1);
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, group) in self.group.iter().enumerate().filter(|(_, group)| sizes[**group] > 1)
        {
            members.entry(*group).or_default().push(place);
        }
        members
    }

    /// Whether records with the same words have different labels, or only near ones; `None` if no
    /// labels differ. A record without a label contradicts nobody.
    fn conflict(&self, places: &[usize]) -> Option<&'static str> {
        let labelled = || places.iter().filter_map(|place| Some((*place, self.labels[*place]?)));
        let (_, one) = labelled().next()?;
        labelled().find(|(_, label)| *label != one)?;
        let mut seen: HashMap<usize, &str> = HashMap::new();
        let exact = labelled()
            .any(|(place, label)| *seen.entry(self.exact[place]).or_insert(label) != label);
        Some(if exact { "exact" } else { "near" })
    }

    fn outputs(&self, frame: &DataFrame, texts: &[&str]) -> Result<Outputs, NodeError> {
        let members = self.members();
        let height = frame.height();
        let mut copies: HashMap<usize, usize> = HashMap::new();
        self.exact.iter().for_each(|first| *copies.entry(*first).or_default() += 1);
        let mut group_of: Vec<Option<&str>> = vec![None; height];
        let mut kind_of: Vec<Option<&str>> = vec![None; height];
        let mut conflict_of = vec![false; height];
        let mut conflicts = Vec::new();
        for (group, places) in &members {
            let conflict = self.conflict(places);
            conflicts.extend(conflict.map(|kind| (kind, *group, places.as_slice())));
            for place in places {
                let row = self.rows[*place];
                group_of[row] = Some(self.ids[*group]);
                let is_copy = copies.get(&self.exact[*place]).is_some_and(|count| *count > 1);
                kind_of[row] = Some(if is_copy { "exact" } else { "near" });
                conflict_of[row] = conflict.is_some();
            }
        }
        let count = |wanted: &str| kind_of.iter().filter(|kind| **kind == Some(wanted)).count();
        let (exact, near) = (count("exact"), count("near"));
        let mut table = frame.clone();
        table.with_column(string_column("duplicate_group", group_of))?;
        table.with_column(string_column("duplicate_kind", kind_of.iter().copied()))?;
        table.with_column(Column::new("duplicate_conflict".into(), conflict_of))?;
        let mut outputs = Outputs::frame(table);
        outputs.count("records with the words of another", exact, Some(height));
        outputs.count("records nearly like another", near, Some(height));
        let groups = members.len();
        outputs.count("groups under more than one label", conflicts.len(), Some(groups));
        // What is certain comes first.
        conflicts.sort_by_key(|(kind, group, _)| (*kind != "exact", *group));
        let conflicts = self.conflicts_frame(&conflicts, texts)?;
        Ok(outputs.with("conflicts", Artifact::Frame(conflicts)))
    }

    fn conflicts_frame(
        &self,
        conflicts: &[(&str, usize, &[usize])],
        texts: &[&str],
    ) -> Result<DataFrame, NodeError> {
        let (mut groups, mut kinds, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let (mut labels, mut all_labels, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let mut shown = Vec::new();
        for (kind, group, places) in conflicts {
            let listed = self.listed_labels(places);
            for place in *places {
                groups.push(Some(self.ids[*group]));
                kinds.push(Some(*kind));
                ids.push(Some(self.ids[*place]));
                labels.push(self.labels[*place]);
                all_labels.push(listed.clone());
                sizes.push(places.len() as u32);
                shown.push(Some(texts[*place]));
            }
        }
        crate::columns::frame(vec![
            string_column("duplicate_group", groups),
            string_column("conflict_kind", kinds),
            string_column("record_id", ids),
            string_column("label", labels),
            string_column("group_labels", all_labels.iter().map(|all| Some(all.as_str()))),
            Column::new("group_records".into(), sizes),
            string_column("text", shown),
        ])
    }

    /// `billing (3), delivery (1)`: the most frequent first.
    fn listed_labels(&self, places: &[usize]) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for label in places.iter().filter_map(|place| self.labels[*place]) {
            *counts.entry(label).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let parts: Vec<String> =
            counts.iter().map(|(label, count)| format!("{label} ({count})")).collect();
        parts.join(", ")
    }
}
