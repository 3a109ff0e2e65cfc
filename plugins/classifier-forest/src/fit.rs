//! Deals rows to trees, and calibrates with the rows that each tree did not see.

use std::thread;

use plugin_sdk::bytes::{Reader, Writer};
use plugin_sdk::calibrate::{Calibration, Sample as Judged, choose};
use plugin_sdk::math::{Lanes, ZERO, lanes_for};
use plugin_sdk::random::{self, Random};
use plugin_sdk::text::{Counts, Resolved, Vectoriser, Weighting};
use plugin_sdk::{Context, Error, Training};

use crate::Params;
use crate::grow::{Growth, Sample, grow};
use crate::model::{Model, Values};
use crate::tree::Tree;

/// Most values a tree is grown from, rows times dimensions: smartcore holds 12 bytes for each.
const MOST_VALUES: usize = 16_000_000;

/// Most rows of all trees together: a grown row takes up to 48 bytes of the model.
const MOST_TREE_ROWS: usize = 4_000_000;

/// Share of the training rows that a tree sees at most, as in a bootstrap sample: 1 - 1/e.
const SEEN_SHARE: f64 = 0.632;

/// Counts as they are: few distinct values, so few thresholds to try.
const WEIGHTING: Weighting =
    Weighting { sublinear_tf: false, idf: false, unit_length: false, hashed_to: 0 };

/// A tree and the positions of the training rows it saw, rising.
struct Grown {
    tree: Tree,
    seen: Vec<u32>,
}

pub(crate) fn fit(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<Model, Error> {
    context.check()?;
    let vectoriser = in_order(&params.projection().learn(counts, training, WEIGHTING).0)?;
    let dimensions = vectoriser.dimensions();
    let rows = rows_per_tree(params, training.rows.len());
    check_size(dimensions, rows, usize::from(params.trees))?;
    let texts = vectoriser.resolve(counts)?;
    let grown = grow_all(&texts, dimensions, rows, params, training, context)?;
    let smoothing = params.smoothing as f32;
    let (trees, seen): (Vec<Tree>, Vec<Vec<u32>>) =
        grown.into_iter().map(|grown| (grown.tree, grown.seen)).unzip();
    let calibration = Calibration::NONE;
    let mut model =
        Model { vectoriser, calibration, smoothing, shares: training.smoothed_shares(), trees };
    model.calibration = calibration_of(&model, &seen, &texts, params, training);
    Ok(model)
}

/// Returns the same features in the order of their hashes: the order of a corpus depends on rows
/// outside the training set, and smartcore draws features by number.
fn in_order(vectoriser: &Vectoriser) -> Result<Vectoriser, Error> {
    let mut writer = Writer::new(0);
    vectoriser.save(&mut writer);
    Vectoriser::load(&mut Reader::new(&writer.finish(), 0)?)
}

fn rows_per_tree(params: &Params, rows: usize) -> usize {
    ((rows as f64 * SEEN_SHARE).ceil() as usize).min(params.rows_per_tree as usize)
}

fn check_size(dimensions: usize, rows: usize, trees: usize) -> Result<(), Error> {
    let (name, most, what) = if dimensions * rows > MOST_VALUES {
        let most = MOST_VALUES / rows;
        ("dimensions", most, format!("{dimensions} dimensions times {rows} rows a tree are"))
    } else if trees * rows > MOST_TREE_ROWS {
        ("trees", MOST_TREE_ROWS / rows, format!("{trees} trees of {rows} rows are"))
    } else {
        return Ok(());
    };
    Err(Error::new(format!("{what} more than this plugin holds; set `{name}` to {most} or less")))
}

/// Grows the trees in as many threads as allowed; each depends on the seed and its number alone.
fn grow_all(
    texts: &Resolved<'_>,
    dimensions: usize,
    rows: usize,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<Vec<Grown>, Error> {
    let trees = usize::from(params.trees);
    let mut random = Random::new(training.seed);
    let seeds: Vec<u64> = (0..trees).map(|_| random.next_u64()).collect();
    let grow_one = |&seed: &u64| {
        context.check()?;
        let mut seen = random::sample(training.rows.len(), rows, seed);
        seen.sort_unstable();
        let sample = read_sample(texts, &seen, training);
        let features_per_split = params.features_per_split as usize;
        let growth = Growth { features_per_split, depth: params.depth, seed };
        Ok(Grown { tree: grow(&sample, dimensions, &growth)?, seen })
    };
    let grow_one = &grow_one;
    let per_thread = trees.div_ceil(context.threads().clamp(1, trees));
    if per_thread == trees {
        let progress = |(done, seed)| {
            context.progress(done as f32 / trees as f32);
            grow_one(seed)
        };
        return seeds.iter().enumerate().map(progress).collect();
    }
    thread::scope(|scope| {
        let grow_some =
            |some| scope.spawn(move || <[u64]>::iter(some).map(grow_one).collect::<Vec<_>>());
        let workers: Vec<_> = seeds.chunks(per_thread).map(grow_some).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<Result<Grown, Error>>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    })
}

fn read_sample(texts: &Resolved<'_>, seen: &[u32], training: &Training<'_>) -> Sample {
    let read = |&position: &u32| {
        let mut entries = Vec::new();
        texts.row(training.rows[position as usize], &mut entries);
        entries
    };
    Sample {
        rows: seen.iter().map(read).collect(),
        labels: seen.iter().map(|&position| training.labels[position as usize]).collect(),
        weights: seen.iter().map(|&position| training.weight(position as usize)).collect(),
    }
}

/// Judges training rows by the trees that did not see them.
fn calibration_of(
    model: &Model,
    seen: &[Vec<u32>],
    texts: &Resolved<'_>,
    params: &Params,
    training: &Training<'_>,
) -> Calibration {
    let classes = training.class_count;
    let chosen = choose(training, params.calibrate);
    let width = lanes_for(classes);
    let mut logits: Vec<Lanes> = vec![ZERO; chosen.positions.len() * width];
    let mut values = Values::new(model.vectoriser.dimensions());
    let mut entries = Vec::new();
    for (position, logits) in chosen.positions.iter().zip(logits.chunks_exact_mut(width)) {
        texts.row(training.rows[*position as usize], &mut entries);
        let unseen = |tree: usize| seen[tree].binary_search(position).is_err();
        model.logits(values.set(&entries), unseen, logits);
    }
    let (labels, weights) = (&chosen.labels, &chosen.weights);
    Calibration::fit(&Judged { logits: &logits, labels, weights, classes }, params.calibrate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_past_the_bounds_name_what_to_lower() {
        assert!(check_size(1024, 1500, 50).is_ok());
        let message = check_size(2000, 10_000, 50).unwrap_err().to_string();
        assert!(message.contains("`dimensions` to 1600 or less"), "{message}");
        let message = check_size(100, 10_000, 500).unwrap_err().to_string();
        assert!(message.contains("`trees` to 400 or less"), "{message}");
    }
}
