//! What a report says, counted from an out-of-fold frame. Knows nothing of pages.

use std::collections::BTreeMap;

use engine::NodeError;
use polars::prelude::*;

use crate::columns::{booleans, floats, strings};
use crate::proposals::Proposals;
use crate::reliability::{BINS, Bin, bins_of, calibration_error};

/// Bins of the confidence histogram.
pub(super) const CONFIDENCE_BINS: usize = 20;
/// Categories of the heat map; the others are put together.
const MAP_CATEGORIES: usize = 12;
/// Characters of a text that are shown.
const TEXT_CHARS: usize = 600;

/// Records of one given label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ClassNoise {
    pub category: String,
    pub records: u64,
    /// Records whose label looks wrong.
    pub suspicious: u64,
    /// The noise estimated by confident learning, where there is any.
    pub estimated: Option<f64>,
}

impl ClassNoise {
    /// The share to show: what is estimated, else what looks wrong.
    pub fn share(&self) -> f64 {
        self.estimated.unwrap_or(self.suspicious as f64 / self.records.max(1) as f64)
    }
}

/// From which label to which one suspicious records would go: `counts[given][proposed]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moves {
    pub categories: Vec<String>,
    pub counts: Vec<Vec<u64>>,
    /// Moves from or to a category that is not shown.
    pub others: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issue {
    pub id: String,
    pub text: String,
    pub given: String,
    pub proposed: String,
    pub confidence: f64,
    pub given_confidence: Option<f64>,
    /// Further reasons, in words.
    pub reasons: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    pub records: usize,
    pub suspicious: usize,
    /// Suspicion comes from confident learning, not from disagreement alone.
    pub confident_learning: bool,
    /// Share of labelled records whose prediction is the given label.
    pub agreement: Option<f64>,
    pub calibration_error: Option<f64>,
    pub classes: Vec<ClassNoise>,
    pub moves: Moves,
    /// Records that agree with their label and those that do not, by confidence.
    pub histogram: [[u64; 2]; CONFIDENCE_BINS],
    /// How often predictions are the given label.
    pub reliability: [Bin; BINS],
    pub issues: Vec<Issue>,
}

/// The columns that are read.
struct Table<'a> {
    ids: &'a StringChunked,
    texts: &'a StringChunked,
    given: &'a StringChunked,
    predicted: &'a StringChunked,
    proposals: Proposals,
    confidence: Vec<f64>,
    given_confidence: Vec<f64>,
    quality: Option<Vec<f64>>,
    issue: Option<&'a BooleanChunked>,
    valid: Option<&'a BooleanChunked>,
    flags: Vec<(&'a BooleanChunked, &'static str)>,
}

/// Columns that are a reason of their own where they are true.
const FLAGS: [(&str, &str); 2] = [
    ("models_agree", "all models predict one other label"),
    ("duplicate_conflict", "the same text stands under another label too"),
];

impl<'a> Table<'a> {
    fn read(frame: &'a DataFrame) -> Result<Table<'a>, NodeError> {
        Ok(Table {
            ids: strings(frame, "record_id")?,
            texts: strings(frame, "text")?,
            given: strings(frame, "given_label")?,
            predicted: strings(frame, "predicted_label")?,
            proposals: Proposals::read(frame)?,
            confidence: floats(frame, "prediction_confidence")?,
            given_confidence: floats(frame, "given_confidence")?,
            quality: floats(frame, "label_quality").ok(),
            issue: booleans(frame, "is_label_issue").ok(),
            valid: booleans(frame, "text_valid").ok(),
            flags: FLAGS
                .iter()
                .filter_map(|(name, words)| Some((booleans(frame, name).ok()?, *words)))
                .collect(),
        })
    }

    fn disagrees(&self, row: usize) -> bool {
        self.given.get(row).is_some_and(|given| Some(given) != self.predicted.get(row))
    }

    fn is_suspicious(&self, row: usize) -> bool {
        let valid = self.valid.is_none_or(|valid| valid.get(row) == Some(true));
        valid
            && match self.issue {
                Some(issue) => issue.get(row) == Some(true),
                None => self.disagrees(row),
            }
    }

    /// High is suspicious: the quality turned round, or how far the proposal is ahead.
    fn suspicion(&self, row: usize) -> f64 {
        match &self.quality {
            Some(quality) => -quality[row],
            None => {
                let given = self.given_confidence[row];
                self.confidence[row] - if given.is_nan() { 0.0 } else { given }
            }
        }
    }

    fn issue(&self, row: usize) -> Issue {
        let text = |column: &StringChunked| column.get(row).unwrap_or_default().to_owned();
        let flags = self.flags.iter().filter(|(flag, _)| flag.get(row) == Some(true));
        Issue {
            id: text(self.ids),
            text: shortened(self.texts.get(row).unwrap_or_default()),
            given: text(self.given),
            proposed: self.proposals.label(row).to_owned(),
            confidence: self.proposals.confidences[row],
            given_confidence: Some(self.given_confidence[row]).filter(|value| !value.is_nan()),
            reasons: flags.map(|(_, words)| *words).collect(),
        }
    }
}

/// The beginning of a text, with a sign that there is more.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}\u{2026}", text[..at].trim_end()),
    }
}

impl Numbers {
    /// Counts everything; `top` issues are kept. `classes` is the port of an `issues` node.
    pub fn of(
        frame: &DataFrame,
        classes: Option<&DataFrame>,
        top: usize,
    ) -> Result<Numbers, NodeError> {
        let table = Table::read(frame)?;
        let height = frame.height();
        let mut suspicious: Vec<usize> =
            (0..height).filter(|row| table.is_suspicious(*row)).collect();
        suspicious.sort_by(|a, b| {
            let order = table.suspicion(*b).total_cmp(&table.suspicion(*a));
            order.then_with(|| table.ids.get(*a).cmp(&table.ids.get(*b)))
        });
        let mut histogram = [[0; 2]; CONFIDENCE_BINS];
        let mut judged = Vec::with_capacity(height);
        for row in (0..height).filter(|row| table.given.get(*row).is_some()) {
            // A confidence that is no number counts as none.
            let confidence =
                if table.confidence[row].is_nan() { 0.0 } else { table.confidence[row] };
            let disagrees = table.disagrees(row);
            histogram[bin(confidence)][usize::from(disagrees)] += 1;
            judged.push((confidence, !disagrees));
        }
        let labelled = judged.len() as f64;
        let reliability = bins_of(judged);
        let hits: u64 = reliability.iter().map(|bin| bin.hits).sum();
        Ok(Numbers {
            records: height,
            suspicious: suspicious.len(),
            confident_learning: table.issue.is_some(),
            agreement: (labelled > 0.0).then(|| hits as f64 / labelled),
            calibration_error: calibration_error(&reliability),
            classes: class_noise(&table, &suspicious, classes)?,
            moves: moves(&table, &suspicious),
            histogram,
            reliability,
            issues: suspicious.iter().take(top).map(|row| table.issue(*row)).collect(),
        })
    }
}

fn bin(confidence: f64) -> usize {
    ((confidence * CONFIDENCE_BINS as f64) as usize).min(CONFIDENCE_BINS - 1)
}

/// The classes, those with most suspicious records first.
fn class_noise(
    table: &Table<'_>,
    suspicious: &[usize],
    classes: Option<&DataFrame>,
) -> Result<Vec<ClassNoise>, NodeError> {
    let mut counts: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for label in table.given.iter().flatten() {
        counts.entry(label).or_default()[0] += 1;
    }
    for label in suspicious.iter().filter_map(|row| table.given.get(*row)) {
        counts.entry(label).or_default()[1] += 1;
    }
    let mut estimated: BTreeMap<&str, f64> = BTreeMap::new();
    if let Some(classes) = classes {
        let names = strings(classes, "category")?;
        let noise = floats(classes, "label_noise")?;
        estimated = names.iter().map(Option::unwrap_or_default).zip(noise).collect();
    }
    let mut all: Vec<ClassNoise> = counts
        .into_iter()
        .map(|(category, [records, suspicious])| ClassNoise {
            estimated: estimated.get(category).copied().filter(|noise| !noise.is_nan()),
            category: category.to_owned(),
            records,
            suspicious,
        })
        .collect();
    all.sort_by(|a, b| b.suspicious.cmp(&a.suspicious).then_with(|| a.category.cmp(&b.category)));
    Ok(all)
}

fn moves(table: &Table<'_>, suspicious: &[usize]) -> Moves {
    let pairs: Vec<(&str, &str)> = suspicious
        .iter()
        .filter_map(|row| Some((table.given.get(*row)?, table.proposals.label(*row))))
        .filter(|(given, proposed)| given != proposed)
        .collect();
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (given, proposed) in &pairs {
        *totals.entry(given).or_default() += 1;
        *totals.entry(proposed).or_default() += 1;
    }
    let mut by_total: Vec<(&str, u64)> = totals.into_iter().collect();
    by_total.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    by_total.truncate(MAP_CATEGORIES);
    let mut categories: Vec<&str> = by_total.into_iter().map(|(name, _)| name).collect();
    categories.sort_unstable();
    let place = |name: &str| categories.binary_search(&name).ok();
    let mut counts = vec![vec![0; categories.len()]; categories.len()];
    let mut others = 0;
    for (given, proposed) in pairs {
        match (place(given), place(proposed)) {
            (Some(given), Some(proposed)) => counts[given][proposed] += 1,
            _ => others += 1,
        }
    }
    Moves { categories: categories.into_iter().map(str::to_owned).collect(), counts, others }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::string_column;

    fn frame() -> DataFrame {
        let text = |name: &str, values: [Option<&str>; 4]| string_column(name, values);
        let some = |values: [&'static str; 4]| values.map(Some);
        crate::columns::frame(vec![
            text("record_id", some(["a", "b", "c", "d"])),
            text("text", some(["one", "two", "three", "four"])),
            text("given_label", [Some("x"), Some("x"), Some("y"), None]),
            text("predicted_label", some(["x", "y", "x", "y"])),
            Column::new("prediction_confidence".into(), [1.0f32, 0.6, 0.8, 0.9]),
            Column::new("given_confidence".into(), [Some(1.0f32), Some(0.4), Some(0.1), None]),
        ])
        .unwrap()
    }

    #[test]
    fn disagreements_are_counted_the_surest_first() {
        let numbers = Numbers::of(&frame(), None, 1).unwrap();
        assert_eq!((numbers.records, numbers.suspicious), (4, 2));
        assert_eq!(numbers.issues.len(), 1);
        assert_eq!(numbers.issues[0].id, "c");
        assert!((numbers.agreement.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(numbers.moves.counts, [[0, 1], [1, 0]]);
        assert_eq!(numbers.histogram[CONFIDENCE_BINS - 1], [1, 0]);
        let noise: Vec<(&str, u64, u64)> = numbers
            .classes
            .iter()
            .map(|class| (class.category.as_str(), class.records, class.suspicious))
            .collect();
        assert_eq!(noise, [("x", 2, 1), ("y", 1, 1)]);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let text = "ß".repeat(700);
        assert_eq!(shortened(&text).chars().count(), 601);
        assert_eq!(shortened("short"), "short");
    }
}
