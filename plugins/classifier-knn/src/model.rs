//! Remembered texts, their votes, and the bytes of both.
//!
//! Payload of a saved model, little endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | format, 1 |
//! | rest | the vectoriser, as `plugin_sdk::text` writes it |
//! | 4, 4, 4 | calibration (scale, noise); smoothing |
//! | 4 | neighbours |
//! | 4 a class | share of the training rows |
//! | 8 | number of remembered rows |
//! | 4, 4, 8, 8 an entry | of each row: class, weight, number of entries; dimension and value of each |

use plugin_sdk::bytes::{Reader, Writer, damaged};
use plugin_sdk::calibrate::Calibration;
use plugin_sdk::math::{LANES, Lanes, ZERO, lanes_for, last_mask, ln};
use plugin_sdk::text::{Counts, Vectoriser};
use plugin_sdk::{Context, Error, for_each_part};

use crate::points::{Cosine, Point, Question, Search};

const FORMAT: u32 = 1;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 64;

/// A remembered text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub label: u32,
    pub weight: f32,
    pub entries: Box<[(u32, f32)]>,
}

/// Remembered texts with everything that is needed to score others.
pub struct Model {
    pub(crate) vectoriser: Vectoriser,
    pub(crate) calibration: Calibration,
    pub(crate) smoothing: f32,
    pub(crate) neighbours: u32,
    /// Share of each class in the training rows.
    pub(crate) shares: Vec<f32>,
    /// Class and weight of each remembered text.
    pub(crate) votes: Vec<(u32, f32)>,
    pub(crate) search: Search,
    /// The texts once more, for saving: smartcore does not hand its own out.
    pub(crate) texts: Vec<Box<[(u32, f32)]>>,
}

impl Model {
    pub(crate) fn new(
        vectoriser: Vectoriser,
        smoothing: f32,
        neighbours: u32,
        shares: Vec<f32>,
        rows: Vec<Row>,
    ) -> Result<Model, Error> {
        let votes = rows.iter().map(|row| (row.label, row.weight)).collect();
        let texts: Vec<_> = rows.into_iter().map(|row| row.entries).collect();
        let points = texts.iter().cloned().map(Point::Sparse).collect();
        let search = Search::new(points, Cosine).map_err(failed)?;
        let calibration = Calibration::NONE;
        Ok(Model { vectoriser, calibration, smoothing, neighbours, shares, votes, search, texts })
    }

    /// Writes the logarithm of the smoothed votes for a text; `but` is a row that has no vote.
    pub(crate) fn logits(
        &self,
        question: &mut Question,
        entries: &[(u32, f32)],
        but: Option<usize>,
        logits: &mut [Lanes],
    ) -> Result<(), Error> {
        for (class, share) in self.shares.iter().enumerate() {
            logits[class / LANES].0[class % LANES] = self.smoothing * share;
        }
        let count = (self.neighbours as usize + usize::from(but.is_some())).min(self.votes.len());
        if count > 0 && !entries.is_empty() {
            let nearest = question.nearest(&self.search, entries, count).map_err(failed)?;
            let others = nearest.into_iter().filter(|(at, _)| Some(*at) != but);
            for (at, cosine) in others.take(self.neighbours as usize) {
                let (label, weight) = self.votes[at];
                // A text that shares no word says nothing; near ones say more than far ones.
                let vote = weight * (cosine.max(0.0) * cosine) as f32;
                logits[label as usize / LANES].0[label as usize % LANES] += vote;
            }
        }
        for (class, _) in self.shares.iter().enumerate() {
            let votes = &mut logits[class / LANES].0[class % LANES];
            *votes = ln(f64::from(votes.max(1e-30))) as f32;
        }
        Ok(())
    }

    /// Writes calibrated probabilities of corpus rows, in as many threads as allowed.
    pub(crate) fn predict(
        &self,
        counts: &Counts,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let texts = self.vectoriser.resolve(counts)?;
        let classes = self.shares.len();
        for_each_part(rows, scores, classes, context, |rows, scores| {
            let mut question = Question::new(self.vectoriser.dimensions());
            let mut entries = Vec::new();
            let mut logits = vec![ZERO; lanes_for(classes)];
            let mask = last_mask(classes);
            for (at, (&row, out)) in rows.iter().zip(scores.chunks_exact_mut(classes)).enumerate() {
                if at % ROWS_PER_CHECK == 0 {
                    context.check()?;
                }
                texts.row(row, &mut entries);
                self.logits(&mut question, &entries, None, &mut logits)?;
                self.calibration.write(&mut logits, &mask, out);
            }
            Ok(())
        })
    }

    /// Returns the payload described at the top of this file.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new(FORMAT);
        // Dimensions that are features follow the order the features are saved in.
        let numbers = self.vectoriser.save_numbered(&mut writer);
        self.calibration.save(&mut writer);
        writer.f32(self.smoothing);
        writer.u32(self.neighbours);
        writer.f32s(&self.shares);
        writer.u64(self.votes.len() as u64);
        for (&(label, weight), entries) in self.votes.iter().zip(&self.texts) {
            writer.u32(label);
            writer.f32(weight);
            writer.u64(entries.len() as u64);
            for &(dimension, value) in entries {
                writer.u32(numbers[dimension as usize]);
                writer.f32(value);
            }
        }
        writer.finish()
    }

    /// Reads what `save` wrote.
    pub(crate) fn load(bytes: &[u8], classes: usize) -> Result<Model, Error> {
        let mut reader = Reader::new(bytes, FORMAT)?;
        let vectoriser = Vectoriser::load(&mut reader)?;
        let calibration = Calibration::load(&mut reader)?;
        let smoothing = reader.f32()?;
        let neighbours = reader.u32()?;
        let shares = reader.f32s(classes)?;
        let in_range = (1e-4..=1e4).contains(&smoothing) && (1..=1000).contains(&neighbours);
        if !in_range || shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(damaged());
        }
        let count = reader.count(16)?;
        let dimensions = vectoriser.dimensions();
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            let (label, weight) = (reader.u32()?, reader.f32()?);
            let length = reader.count(8)?;
            let entries: Box<[(u32, f32)]> = (0..length)
                .map(|_| Ok((reader.u32()?, reader.f32()?)))
                .collect::<Result<_, Error>>()?;
            let fits = |entry: &(u32, f32)| {
                (entry.0 as usize) < dimensions && (-1.01..=1.01).contains(&entry.1)
            };
            if label as usize >= classes || weight < 0.0 || !entries.iter().all(fits) {
                return Err(damaged());
            }
            rows.push(Row { label, weight, entries });
        }
        reader.finish()?;
        let model = Model::new(vectoriser, smoothing, neighbours, shares, rows)?;
        Ok(Model { calibration, ..model })
    }
}

pub(crate) fn failed(error: smartcore::error::Failed) -> Error {
    Error::new(format!("smartcore: {error}"))
}
