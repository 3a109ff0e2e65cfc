//! A worked example of a textbook.

use classifier_naive_bayes::{NaiveBayes, Params};
use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::checks::with_texts;
use plugin_sdk::{Classifier, Context, Training};

#[test]
fn class_sums_give_the_textbook_answer() {
    // Manning, Raghavan, Schütze, chapter 13: P(china | test) is about 0.69 with Laplace.
    let texts = [
        "chinese beijing chinese",
        "chinese chinese shanghai",
        "chinese macao",
        "tokyo japan chinese",
        "chinese chinese chinese tokyo japan",
    ]
    .map(str::to_owned);
    let context = Context::quiet();
    let params = Params { alpha: 1.0, min_df: 1, calibrate: Calibrate::None, ..Params::default() };
    let corpus = with_texts(&texts, |texts| NaiveBayes::prepare(params, texts, &context)).unwrap();
    let training = Training {
        rows: &[0, 1, 2, 3],
        labels: &[0, 0, 0, 1],
        weights: None,
        class_count: 2,
        seed: 0,
    };
    let score = |training: &Training<'_>| {
        let model = NaiveBayes::fit(&corpus, training, &context).unwrap();
        let mut scores = [0.0; 2];
        NaiveBayes::predict(&corpus, &model, &[4], &mut scores, &context).unwrap();
        scores
    };
    // Priors here are 4/6 and 2/6 in place of the book's 3/4 and 1/4.
    let china = 4.0 / 6.0 * (3.0_f32 / 7.0).powi(3) / 14.0 / 14.0;
    let japan = 2.0 / 6.0 * (2.0_f32 / 9.0).powi(5);
    let plain = score(&training);
    assert!((plain[0] - china / (china + japan)).abs() < 1e-5);
    let weighted = score(&Training { weights: Some(&[1.0; 4]), ..training });
    assert!((plain[0] - weighted[0]).abs() < 1e-5);
}
