//! Remembers training rows, and calibrates their votes for each other.

use plugin_sdk::calibrate::{Calibration, Sample, choose};
use plugin_sdk::math::{Lanes, ZERO, lanes_for};
use plugin_sdk::text::{Counts, Weighting};
use plugin_sdk::{Context, Error, Training, random};

use crate::Params;
use crate::model::{Model, Row};
use crate::points::Question;

/// Most entries of remembered rows: 16 bytes each, as they are kept twice.
const MOST_ENTRIES: usize = 50_000_000;

/// Each row to calibrate with is compared with all others; fewer do than for other models.
const MOST_CALIBRATION_ROWS: usize = 1500;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 64;

const WEIGHTING: Weighting =
    Weighting { sublinear_tf: true, idf: true, unit_length: true, hashed_to: 0 };

pub(crate) fn fit(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<Model, Error> {
    context.check()?;
    let (vectoriser, texts) = params.projection().learn(counts, training, WEIGHTING);
    let mut kept = random::sample(training.rows.len(), params.max_rows, training.seed);
    kept.sort_unstable();
    let mut rows = Vec::with_capacity(kept.len());
    let mut entries = Vec::new();
    let mut total = 0;
    for &position in &kept {
        texts.row(training.rows[position as usize], &mut entries);
        total += entries.len();
        check_size(total, kept.len(), rows.len())?;
        rows.push(Row {
            label: training.labels[position as usize],
            weight: training.weight(position as usize),
            entries: entries.as_slice().into(),
        });
    }
    let smoothing = params.smoothing as f32;
    let shares = training.smoothed_shares();
    let mut model = Model::new(vectoriser, smoothing, params.neighbours, shares, rows)?;
    model.calibration = calibration(&model, params, training, &kept, context)?;
    Ok(model)
}

/// Fails once the entries of the first `fitting` rows and one more are too many.
fn check_size(entries: usize, rows: usize, fitting: usize) -> Result<(), Error> {
    if entries <= MOST_ENTRIES {
        return Ok(());
    }
    Err(Error::new(format!(
        "{rows} training rows have more than {MOST_ENTRIES} words, the most this plugin remembers; \
         set `max_rows` to {} or less",
        fitting.max(1)
    )))
}

/// Lets remembered rows be judged by all others.
fn calibration(
    model: &Model,
    params: &Params,
    training: &Training<'_>,
    kept: &[u32],
    context: &Context<'_>,
) -> Result<Calibration, Error> {
    let classes = training.class_count;
    let labels: Vec<u32> = model.votes.iter().map(|vote| vote.0).collect();
    let weights: Vec<f32> = model.votes.iter().map(|vote| vote.1).collect();
    let rows: Vec<u32> = kept.iter().map(|&at| training.rows[at as usize]).collect();
    let remembered =
        Training { rows: &rows, labels: &labels, weights: Some(&weights), ..*training };
    let mut chosen = choose(&remembered, params.calibrate);
    chosen.positions.truncate(MOST_CALIBRATION_ROWS);
    let count = chosen.positions.len();
    let width = lanes_for(classes);
    let mut logits: Vec<Lanes> = vec![ZERO; count * width];
    let mut question = Question::new(model.vectoriser.dimensions());
    let rows = chosen.positions.iter().zip(logits.chunks_exact_mut(width));
    for (done, (&position, logits)) in rows.enumerate() {
        if done % ROWS_PER_CHECK == 0 {
            context.check()?;
            context.progress(done as f32 / count as f32);
        }
        let own = position as usize;
        model.logits(&mut question, &model.texts[own], Some(own), logits)?;
    }
    let (labels, weights) = (&chosen.labels[..count], &chosen.weights[..count]);
    let sample = Sample { logits: &logits, labels, weights, classes };
    Ok(Calibration::fit(&sample, params.calibrate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_words_name_what_to_lower() {
        assert!(check_size(MOST_ENTRIES, 20_000, 19_999).is_ok());
        let message = check_size(MOST_ENTRIES + 1, 20_000, 500).unwrap_err().to_string();
        assert!(message.contains("`max_rows` to 500 or less"), "{message}");
    }
}
