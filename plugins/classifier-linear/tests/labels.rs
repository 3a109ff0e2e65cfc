//! What `linear` makes of labels: wrong ones, rare ones, and the parameters about them.

#![allow(clippy::unwrap_used)]

use classifier_linear::{Linear, Params};
use plugin_sdk::{Classifier, Context, Error, Texts, Training};
use serde_json::{Value, json};

#[path = "../examples/fixed_work/work.rs"]
mod work;

use work::Work;

/// Class of each text by a model of the first `learnt`.
fn predicted(work: &Work, learnt: usize, params: Value) -> Result<Vec<usize>, Error> {
    let params: Params = serde_json::from_value(params).unwrap();
    let texts = Texts::new(&work.offsets, &work.text).unwrap();
    let rows: Vec<u32> = (0..work.labels.len() as u32).collect();
    let corpus = Linear::prepare(params, &texts, &Context::quiet())?;
    let class_count = work::CLASSES + 1;
    let training = Training {
        rows: &rows[..learnt],
        labels: &work.labels[..learnt],
        weights: None,
        class_count,
        seed: 1,
    };
    let model = Linear::fit(&corpus, &training, &Context::quiet())?;
    let mut scores = vec![0.0; rows.len() * class_count];
    Linear::predict(&corpus, &model, &rows, &mut scores, &Context::quiet())?;
    let best = |scores: &[f32]| (0..class_count).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    Ok(scores.chunks_exact(class_count).map(|scores| best(scores).unwrap()).collect())
}

#[test]
fn doubt_sees_through_wrong_labels() {
    let mut work = work::work(12_000);
    for row in (0..12_000).filter(|row| row % 10 < 3) {
        work.labels[row] = (work.right[row] + 1 + row as u32 % 5) % work::CLASSES as u32;
    }
    // The last quarter is not learnt from.
    let right = |doubt: f64| {
        let best = predicted(&work, 9000, json!({"doubt": doubt})).unwrap();
        (9000..12_000).filter(|&row| best[row] == work.right[row] as usize).count()
    };
    let (believing, doubting) = (right(0.0), right(0.2));
    assert!(doubting > believing + 10, "{doubting} {believing}");
}

#[test]
fn a_rare_class_is_not_doubted_away() {
    let mut work = work::work(4000);
    // One text in eighty is of a class of its own, and has words of its own.
    let mut text = String::new();
    for row in 0..4000 {
        let (start, end) = (work.offsets[row] as usize, work.offsets[row + 1] as usize);
        let old = work.text[start..end].to_owned();
        work.offsets[row] = text.len() as i64;
        text.push_str(&old);
        if row % 80 == 0 {
            text.push_str("singular rarity ");
            work.labels[row] = work::CLASSES as u32;
        }
    }
    work.offsets[4000] = text.len() as i64;
    work.text = text;
    let found = |doubt: f64| {
        let best = predicted(&work, 3000, json!({"doubt": doubt})).unwrap();
        (3040..4000).step_by(80).filter(|&row| best[row] == work::CLASSES).count()
    };
    let [believing, doubting] = [0.0, 0.2].map(found);
    assert!(believing >= 8 && doubting >= 8, "{believing} {doubting} of 12");
}

#[test]
fn parameters_out_of_range_are_named() {
    let work = work::work(10);
    for (name, params) in [
        ("doubt", json!({"doubt": 1.5})),
        ("doubt", json!({"doubt": -0.1})),
        ("c", json!({"c": 0.0})),
        ("min_df", json!({"min_df": 0})),
        ("epochs", json!({"epochs": 0})),
    ] {
        let error = predicted(&work, 10, params).unwrap_err().to_string();
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn the_candidates_of_auto_are_parameters() {
    let schema = schemars::schema_for!(Params);
    let candidates = schema.get("x-relabel-auto").and_then(Value::as_array).unwrap();
    assert!((4..=7).contains(&candidates.len()));
    assert_eq!(candidates[0], json!({}));
    let work = work::work(50);
    for candidate in candidates {
        predicted(&work, 50, candidate.clone()).unwrap();
    }
}
