//! What `linear` promises whatever the data: models that depend on the training rows alone, the same
//! bytes on any number of threads, and bounds with a thousand classes.

#![allow(clippy::unwrap_used)]

use classifier_linear::{Linear, Params};
use plugin_sdk::{Classifier, Context, Texts, Training};
use serde_json::{Value, json};

#[path = "../examples/fixed_work/work.rs"]
mod work;

/// Bytes of a model of the rows before `learnt`, and the probabilities of all rows.
fn bytes(
    text: &str,
    offsets: &[i64],
    (labels, class_count): (&[u32], usize),
    learnt: usize,
    threads: usize,
    params: &Value,
) -> (Vec<u8>, Vec<f32>) {
    let params: Params = serde_json::from_value(params.clone()).unwrap();
    let context = Context::with_threads(threads);
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let corpus = Linear::prepare(params, &Texts::new(offsets, text).unwrap(), &context).unwrap();
    let (rows_learnt, labels) = (&rows[..learnt], &labels[..learnt]);
    let training = Training { rows: rows_learnt, labels, weights: None, class_count, seed: 1 };
    let model = Linear::fit(&corpus, &training, &context).unwrap();
    let mut scores = vec![0.0; rows.len() * class_count];
    Linear::predict(&corpus, &model, &rows, &mut scores, &context).unwrap();
    (Linear::save(&model).unwrap(), scores)
}

#[test]
fn threads_change_no_byte() {
    let work = work::work(3000);
    for params in [json!({}), json!({"word_ngrams": 2, "char_ngrams": [2, 3], "hash_bits": 16})] {
        let labels = (work.labels.as_slice(), work::CLASSES);
        let on = |threads| bytes(&work.text, &work.offsets, labels, 2500, threads, &params);
        let one = on(1);
        for threads in [2, 3, 8] {
            assert!(one == on(threads), "{threads} threads, {params}");
        }
    }
}

#[test]
fn texts_not_learnt_from_change_no_byte() {
    let work = work::work(1000);
    let labels = (work.labels.as_slice(), work::CLASSES);
    let end = work.offsets[800] as usize;
    let mut other = work.text[..end].to_owned();
    let mut offsets = work.offsets[..=800].to_vec();
    for row in 800..1000 {
        other.push_str(&format!("w1 w2 w3 {} never{row}", "w1f ".repeat(row)));
        offsets.push(other.len() as i64);
    }
    for params in [json!({}), json!({"word_ngrams": 2, "min_df": 1})] {
        let model = bytes(&work.text, &work.offsets, labels, 800, 1, &params).0;
        assert!(model == bytes(&other, &offsets, labels, 800, 2, &params).0, "{params}");
    }
}

#[test]
fn a_thousand_classes_and_hard_texts_give_probabilities() {
    let mut work = work::work(5000);
    for (row, label) in work.labels.iter_mut().enumerate() {
        *label = (row as u32).wrapping_mul(2_654_435_761) % 1000;
    }
    let end = work.offsets[4990] as usize;
    work.text.truncate(end);
    work.offsets.truncate(4991);
    let hard = ["", " \t\n", "😀\u{0}\u{202e}ß", "カード 紛失", "e\u{323}le\u{301}"];
    let long = ["unending ".repeat(120_000), "x".repeat(1 << 20)];
    for text in hard.iter().copied().chain(long.iter().map(String::as_str)).chain(["a", "b", "c"]) {
        work.text.push_str(text);
        work.offsets.push(work.text.len() as i64);
    }
    for params in [json!({}), json!({"char_ngrams": [1, 3], "class_weight": "balanced"})] {
        let labels = (work.labels.as_slice(), 1000);
        let scores = bytes(&work.text, &work.offsets, labels, 5000, 2, &params).1;
        for row in scores.chunks_exact(1000) {
            assert!(row.iter().all(|&score| (0.0..=1.0).contains(&score)));
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-3);
        }
    }
}
