//! What every shipped classifier promises, as functions that panic when it is not kept. The tests
//! of each plugin call them: two plugins cannot be linked into one program.

#![allow(clippy::missing_panics_doc)]

use crate::random::Random;
use crate::{Classifier, Context, Error, Texts, Training};

const CLASSES: usize = 3;

/// Made-up texts: words of their class among words of none, some of none at all.
pub fn texts(count: usize) -> (Vec<String>, Vec<u32>) {
    let mut random = Random::new(11);
    let words = ["invoice payment overdue", "router cable offline", "parcel courier late"];
    (0..count)
        .map(|row| {
            let class = row % CLASSES;
            let own: Vec<&str> = words[class].split(' ').collect();
            let mut text: Vec<String> = (0..4).map(|_| format!("w{}", random.below(200))).collect();
            for _ in 0..random.below(4) {
                text.push(own[random.below(own.len())].to_owned());
            }
            (text.join(" "), class as u32)
        })
        .unzip()
}

/// Calls `use_texts` with borrowed texts.
pub fn with_texts<R>(texts: &[String], use_texts: impl FnOnce(&Texts<'_>) -> R) -> R {
    let joined = texts.concat();
    let mut offsets = vec![0];
    let mut end = 0;
    for text in texts {
        end += text.len() as i64;
        offsets.push(end);
    }
    use_texts(&Texts::new(&offsets, &joined).expect("offsets lie between texts"))
}

/// Fits on four of five rows and scores the fifth; returns the saved model and the scores.
fn one_fold<T: Classifier>(
    params: &str,
    texts: &[String],
    labels: &[u32],
    weights: Option<&[f32]>,
    threads: usize,
) -> (Vec<u8>, Vec<f32>) {
    let (held_out, rows): (Vec<u32>, Vec<u32>) =
        (0..texts.len() as u32).partition(|row| row % 5 == 0);
    let labels: Vec<u32> = rows.iter().map(|&row| labels[row as usize]).collect();
    let weights: Option<Vec<f32>> =
        weights.map(|all| rows.iter().map(|&row| all[row as usize]).collect());
    let training = Training {
        rows: &rows,
        labels: &labels,
        weights: weights.as_deref(),
        class_count: CLASSES,
        seed: 9,
    };
    with_texts(texts, |texts| {
        let context = Context::with_threads(threads);
        let corpus = prepare::<T>(params, texts).expect("texts are prepared");
        let model = T::fit(&corpus, &training, &context).expect("a model is fitted");
        let mut scores = vec![0.0; held_out.len() * CLASSES];
        T::predict(&corpus, &model, &held_out, &mut scores, &context).expect("rows are scored");
        (T::save(&model).expect("a model is saved"), scores)
    })
}

fn prepare<T: Classifier>(params: &str, texts: &Texts<'_>) -> Result<T::Corpus, Error> {
    let params = serde_json::from_str(params).expect("parameters are read");
    T::prepare(params, texts, &Context::with_threads(2))
}

/// The same model and scores on any number of threads.
pub fn threads_do_not_change_a_byte<T: Classifier>(params: &str, rows: usize) {
    let (texts, labels) = texts(rows);
    let one = one_fold::<T>(params, &texts, &labels, None, 1);
    for threads in [2, 3, 8] {
        assert!(one == one_fold::<T>(params, &texts, &labels, None, threads), "{threads} threads");
    }
}

/// Other texts and labels in the held-out rows give the same model.
pub fn held_out_rows_do_not_change_the_model<T: Classifier>(params: &str) {
    let (texts, labels) = texts(400);
    let (mut other_texts, mut other_labels) = (texts.clone(), labels.clone());
    for row in (0..texts.len()).step_by(5) {
        other_texts[row] = format!("w1 invoice {row} router never seen {}", texts[row]);
        other_labels[row] = (labels[row] + 1) % CLASSES as u32;
    }
    let model = one_fold::<T>(params, &texts, &labels, None, 1).0;
    assert!(model == one_fold::<T>(params, &other_texts, &other_labels, None, 1).0);
}

/// Empty, huge and odd texts, classes without rows and many classes give probabilities.
pub fn hard_input_gives_probabilities<T: Classifier>(params: &str) {
    let megabyte = "unending ".repeat(120_000);
    let one_word = "x".repeat(1 << 20);
    let many: String = (0..100_000).map(|word| format!("v{word} ")).collect();
    let texts: Vec<String> =
        ["", " \t\n", "a", &megabyte, &one_word, "😀\u{0}\u{202e}ß", "カード 紛失", &many]
            .map(str::to_owned)
            .to_vec();
    let rows: Vec<u32> = (0..8).collect();
    let cases: [(&[u32], &[u32], usize); 6] = [
        (&rows, &[0, 1, 2, 0, 1, 2, 0, 1], 3),
        (&rows, &[0, 1, 999, 0, 1, 2, 0, 2], 1000),
        (&rows[..2], &[5, 5], 6),
        (&rows[..2], &[0, 1], 2),
        (&rows[..1], &[1], 2),
        (&[], &[], 4),
    ];
    with_texts(&texts, |texts| {
        let context = Context::quiet();
        let corpus = prepare::<T>(params, texts).expect("texts are prepared");
        for (rows_used, labels, class_count) in cases {
            let training =
                Training { rows: rows_used, labels, weights: None, class_count, seed: u64::MAX };
            let model = T::fit(&corpus, &training, &context).expect("a model is fitted");
            let mut scores = vec![0.0; 8 * class_count];
            T::predict(&corpus, &model, &rows, &mut scores, &context).expect("rows are scored");
            check_probabilities(&scores, class_count);
            let bytes = T::save(&model).expect("a model is saved");
            let loaded = T::load(&bytes, class_count).expect("a model is loaded");
            let mut again = vec![0.0; 8 * class_count];
            T::predict(&corpus, &loaded, &rows, &mut again, &context).expect("rows are scored");
            let close = |(one, two): (&f32, &f32)| (one - two).abs() < 1e-5;
            assert!(scores.iter().zip(&again).all(close), "{labels:?} of {class_count}");
        }
    });
    with_texts(&[], |texts| {
        assert!(prepare::<T>(params, texts).is_ok(), "no texts are texts too");
    });
}

fn check_probabilities(scores: &[f32], classes: usize) {
    for row in scores.chunks_exact(classes) {
        assert!(row.iter().all(|score| score.is_finite() && *score >= 0.0), "{row:?}");
        let sum: f32 = row.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3, "sums to {sum}");
    }
}

/// A loaded model saves and scores as the one it was; anything but a whole model is an error or,
/// where only a number changed, a model that gives probabilities.
pub fn garbage_is_no_model<T: Classifier>(params: &str) {
    let (texts, labels) = texts(60);
    let (bytes, scores) = one_fold::<T>(params, &texts, &labels, None, 1);
    let loaded = T::load(&bytes, CLASSES).expect("a saved model is a model");
    assert!(T::save(&loaded).expect("a model is saved") == bytes, "saving is not stable");
    assert!(T::load(&bytes, CLASSES + 1).is_err());
    assert!(T::load(&[&bytes[..], &[0]].concat(), CLASSES).is_err());
    with_texts(&texts, |texts| {
        let corpus = prepare::<T>(params, texts).expect("texts are prepared");
        let rows: Vec<u32> = (0..60).step_by(5).collect();
        let mut again = vec![0.0; scores.len()];
        let context = Context::quiet();
        T::predict(&corpus, &loaded, &rows, &mut again, &context).expect("rows are scored");
        assert!(again == scores, "a loaded model scores differently");
        let step = 1 + bytes.len() / 500;
        for end in (0..bytes.len()).step_by(step) {
            assert!(T::load(&bytes[..end], CLASSES).is_err(), "cut at {end}");
        }
        for position in (0..bytes.len().min(64)).chain((64..bytes.len()).step_by(step)) {
            for change in [0x01, 0x40, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[position] ^= change;
                let Ok(model) = T::load(&damaged, CLASSES) else { continue };
                // Parameters of the texts may differ now, which is an error too.
                if T::predict(&corpus, &model, &rows, &mut again, &context).is_ok() {
                    check_probabilities(&again, CLASSES);
                }
            }
        }
    });
}

/// Accuracy well above chance, and confidences that are no bluff.
pub fn it_learns<T: Classifier>(params: &str, least_accuracy: f64) {
    let (texts, labels) = texts(1500);
    let scores = one_fold::<T>(params, &texts, &labels, None, 2).1;
    let (mut hits, mut loss, mut count) = (0.0, 0.0, 0.0);
    for (row, scores) in (0..texts.len()).step_by(5).zip(scores.chunks_exact(CLASSES)) {
        hits += f64::from(u8::from(arg_max(scores) == labels[row]));
        loss -= f64::from(scores[labels[row] as usize]).max(1e-15).ln();
        count += 1.0;
    }
    let (accuracy, loss) = (hits / count, loss / count);
    assert!(accuracy >= least_accuracy, "accuracy {accuracy}");
    // A model that knows nothing has a log-loss of ln 3, which is 1.1.
    assert!(loss < 0.75, "log-loss {loss}");
}

/// Rows with next to no weight hardly count.
pub fn weights_count<T: Classifier>(params: &str) {
    let (texts, labels) = texts(600);
    let weights: Vec<f32> = labels.iter().map(|&l| if l == 0 { 0.001 } else { 1.0 }).collect();
    let share = |weights| -> f32 {
        let scores = one_fold::<T>(params, &texts, &labels, weights, 1).1;
        let count = scores.len() / CLASSES;
        scores.chunks_exact(CLASSES).map(|row| row[0]).sum::<f32>() / count as f32
    };
    let (plain, weighted) = (share(None), share(Some(&weights)));
    assert!(weighted < plain * 0.8, "{plain} without weights, {weighted} with");
}

/// Past the bound of memory, `fit` fails and names the parameter to lower.
pub fn error_names<T: Classifier>(params: &str, class_count: usize, parameter: &str) {
    let (texts, labels) = texts(200);
    let rows: Vec<u32> = (0..200).collect();
    let training = Training { rows: &rows, labels: &labels, weights: None, class_count, seed: 0 };
    let error = with_texts(&texts, |texts| {
        let corpus = prepare::<T>(params, texts).expect("texts are prepared");
        T::fit(&corpus, &training, &Context::quiet()).map(|_| ()).expect_err("past the bound")
    });
    assert!(error.to_string().contains(&format!("`{parameter}`")), "{error}");
}

/// Parameters out of range are refused by name.
pub fn refused<T: Classifier>(params: &str, parameter: &str) {
    let (texts, _) = texts(3);
    let error = with_texts(&texts, |texts| prepare::<T>(params, texts).map(|_| ()));
    let error = error.expect_err("out of range");
    assert!(error.to_string().contains(&format!("`{parameter}`")), "{error}");
}

/// The candidates for `params: auto` are parameters, and the first leaves the defaults.
pub fn candidates_are_parameters<T: Classifier>() {
    let schema = schemars::schema_for!(T::Params);
    let candidates = schema.get("x-relabel-auto").and_then(|all| all.as_array());
    let candidates = candidates.expect("the schema has candidates");
    assert_eq!(candidates[0], serde_json::json!({}));
    assert!((2..=6).contains(&candidates.len()));
    let (texts, _) = texts(3);
    for candidate in candidates {
        let text = candidate.to_string();
        assert!(with_texts(&texts, |texts| prepare::<T>(&text, texts)).is_ok(), "{text}");
    }
}

/// A fit that is told to stop stops.
pub fn cancelling_is_heeded<T: Classifier>(params: &str) {
    unsafe extern "C" fn always(_: *mut std::ffi::c_void) -> i32 {
        1
    }
    let raw = crate::abi::Context {
        threads: 1,
        host: std::ptr::null_mut(),
        progress: None,
        is_cancelled: Some(always),
    };
    let (texts, labels) = texts(300);
    let rows: Vec<u32> = (0..300).collect();
    let training =
        Training { rows: &rows, labels: &labels, weights: None, class_count: CLASSES, seed: 0 };
    let result = with_texts(&texts, |texts| {
        let corpus = prepare::<T>(params, texts).expect("texts are prepared");
        T::fit(&corpus, &training, &Context::new(&raw)).map(|_| ())
    });
    assert_eq!(result, Err(Error::Cancelled));
}

/// Returns the class of the largest value, the first of several.
fn arg_max(row: &[f32]) -> u32 {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better) as u32
}
