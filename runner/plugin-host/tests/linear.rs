//! What a fold may depend on, and what `linear` must bear, through dlopen.

use engine::classifier::FitRequest;
use serde_json::json;

use crate::support::{error_of, one_fold, prepare, records, shipped, try_load, with_context};

/// The plugins whose promises are tested here; the other libraries are fixtures.
const SHIPPED: [&str; 3] = ["linear", "majority", "naive-bayes"];

#[test]
fn threads_do_not_change_a_byte() {
    let (texts, labels) = records(4000);
    for name in SHIPPED {
        let plugin = try_load(&shipped(), name).unwrap();
        let one = one_fold(&*plugin, &texts, &labels, 1).unwrap();
        for threads in [1, 2, 3, 8] {
            let again = one_fold(&*plugin, &texts, &labels, threads).unwrap();
            assert!(one == again, "{name} differs on {threads} threads");
        }
    }
}

#[test]
fn held_out_rows_do_not_change_the_model() {
    let (texts, labels) = records(1000);
    let (mut other_texts, mut other_labels) = (texts.clone(), labels.clone());
    for row in (0..texts.len()).step_by(5) {
        other_texts[row] = format!("w1 invoice {row} router never seen {}", texts[row]);
        other_labels[row] = (labels[row] + 1) % 3;
    }
    for name in SHIPPED {
        let plugin = try_load(&shipped(), name).unwrap();
        let model = one_fold(&*plugin, &texts, &labels, 1).unwrap().0;
        let other = one_fold(&*plugin, &other_texts, &other_labels, 1).unwrap().0;
        assert!(model == other, "{name} learnt from rows it was not given");
    }
}

#[test]
fn hard_input_gives_probabilities() {
    let megabyte = "unending ".repeat(120_000);
    let one_word = "x".repeat(1 << 20);
    let texts: Vec<String> =
        ["", " \t\n", "a", &megabyte, &one_word, "😀\u{0}\u{202e}ß", "カード 紛失"]
            .map(str::to_owned)
            .to_vec();
    let rows: Vec<u32> = (0..7).collect();
    for name in SHIPPED {
        let plugin = try_load(&shipped(), name).unwrap();
        let corpus = prepare(&*plugin, &texts, &json!({}));
        let cases: [(&[u32], &[u32], u32); 4] = [
            (&rows, &[0, 1, 2, 0, 1, 2, 0], 1000),
            (&rows[..2], &[5, 5], 6),
            (&rows[..1], &[1], 2),
            (&[], &[], 4),
        ];
        for (rows_used, labels, class_count) in cases {
            let request =
                FitRequest { rows: rows_used, labels, weights: None, class_count, seed: 0 };
            let scores = with_context(2, |context| {
                let model = corpus.fit(request, context).unwrap();
                corpus.predict(&*model, &rows, context)
            });
            assert_eq!(scores.unwrap().len(), 7 * class_count as usize, "{name}");
        }
    }
}

#[test]
fn garbage_is_no_model() {
    let (texts, labels) = records(60);
    for name in SHIPPED {
        let plugin = try_load(&shipped(), name).unwrap();
        let bytes = one_fold(&*plugin, &texts, &labels, 1).unwrap().0;
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 200) {
            error_of(plugin.load(&bytes[..end]));
        }
        for position in (0..bytes.len()).step_by(1 + bytes.len() / 200) {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x55;
            error_of(plugin.load(&damaged));
        }
        error_of(plugin.load(&[0xff; 300]));
    }
}
