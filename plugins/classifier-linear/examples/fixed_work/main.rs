//! Prepares, fits and predicts a fixed made-up data set; `.ci/instructions` counts what it executes.
//!
//! Prints how many of the texts it has not learnt from are given their right label, so that nothing
//! of the work can be left out.

#![allow(clippy::print_stdout)]

mod work;

use classifier_linear::Linear;
use plugin_sdk::{Classifier, Context, Error, Texts, Training};

fn main() -> Result<(), Error> {
    let work = work::work(4000);
    let texts = Texts::new(&work.offsets, &work.text)?;
    let quiet = Context::quiet();
    let rows: Vec<u32> = (0..work.labels.len() as u32).collect();
    let (train, test) = rows.split_at(3200);
    let corpus = Linear::prepare(Default::default(), &texts, &quiet)?;
    let training = Training {
        rows: train,
        labels: &work.labels[..train.len()],
        weights: None,
        class_count: work::CLASSES,
        seed: 1,
    };
    let model = Linear::fit(&corpus, &training, &quiet)?;
    let mut scores = vec![0.0; test.len() * work::CLASSES];
    Linear::predict(&corpus, &model, test, &mut scores, &quiet)?;
    let best = |scores: &[f32]| {
        (0..work::CLASSES).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).map(|best| best as u32)
    };
    let right = &work.right[train.len()..];
    let pairs = scores.chunks_exact(work::CLASSES).zip(right);
    let hits = pairs.filter(|(scores, right)| best(scores) == Some(**right)).count();
    println!("{hits} of {} texts right", test.len());
    Ok(())
}
