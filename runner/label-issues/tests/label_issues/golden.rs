//! The reference's answers on random inputs: those of the fixture, which `make_cleanlab.py` beside it
//! asked for, and every case of the folder that `RELABEL_GOLDEN` names.
//!
//! Where two cells tie in the rounding of the calibrated joint, the reference's choice is
//! arbitrary. Such a case is told apart by its joint, and goes on with the reference's one.

use std::path::Path;

use serde_json::Value;

use crate::support::{assert_close, rows_of};
use label_issues::{
    Collision, Dataset, Dense, EntropyMode, EstimationMethod, Evidence, FilterOptions,
    ScoreOptions, SquareMatrix, class_summaries, estimate_joint, estimate_latent,
};

#[test]
fn every_case_of_the_fixture() {
    let cases: Value = serde_json::from_str(include_str!("../fixtures/cleanlab.json")).unwrap();
    let mut totals = Totals::default();
    for (n, case) in cases.as_array().unwrap().iter().enumerate() {
        check_case(case, &format!("case {n}"), &mut totals);
    }
    assert!(totals.flags == 8 * 21 && totals.scores == 8 * 5, "{} {}", totals.flags, totals.scores);
}

#[test]
fn every_case_of_the_folder() {
    let Some(folder) = std::env::var_os("RELABEL_GOLDEN") else {
        println!("skipped: RELABEL_GOLDEN is not set");
        return;
    };
    let entries = std::fs::read_dir(&folder).expect("RELABEL_GOLDEN names a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert!(!paths.is_empty(), "no case in {}", Path::new(&folder).display());
    let mut totals = Totals::default();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        check_case(&case, &path.display().to_string(), &mut totals);
    }
    let Totals { flags, scores, tied } = totals;
    println!(
        "{} cases: {flags} sets of flags, {scores} columns of scores; {tied} joints with a tie",
        paths.len()
    );
}

#[derive(Default)]
struct Totals {
    flags: usize,
    scores: usize,
    tied: usize,
}

fn check_case(case: &Value, name: &str, totals: &mut Totals) {
    let labels: Vec<u32> = numbers(&case["labels"]).iter().map(|label| *label as u32).collect();
    let values = table(&case["pred_probs"]);
    let classes = case["classes"].as_u64().unwrap() as usize;
    let dense = Dense::new(&values[..], classes).unwrap().with_batch_rows(7);
    let dataset = Dataset::new(&dense, &labels).unwrap();
    let thresholds = numbers(&case["thresholds"]);
    assert_close(dataset.confident_thresholds(), &thresholds, 1e-9, name);

    let evidence = dataset.evidence(Collision::Cleanlab).unwrap();
    assert_eq!(evidence.confident_joint(), &joint(&case["confident_joint_raw"], classes), "{name}");
    let expected = joint(&case["confident_joint"], classes);
    let calibrated = evidence.calibrated_joint().unwrap();
    let tied = calibrated != expected;
    if tied {
        assert_tied(&calibrated, &expected, &evidence);
        totals.tied += 1;
    }
    for (method, count) in case["num_label_issues"].as_object().unwrap() {
        let method: EstimationMethod = method.parse().unwrap();
        let mut found = evidence.num_label_issues(method).unwrap();
        if method == EstimationMethod::OffDiagonalCalibrated {
            // Both joints have all rows, so a unit that moved counts where it left the diagonal.
            found = found + trace(&calibrated) - trace(&expected);
        }
        assert_eq!(Some(found), count.as_u64(), "{name}: {method:?}");
    }
    let health = case["health"].as_f64().unwrap();
    assert_close(&[evidence.health()], &[health], 1e-9, name);

    for flags in case["flags"].as_array().unwrap() {
        let options = FilterOptions {
            filter_by: flags["filter_by"].as_str().unwrap().parse().unwrap(),
            frac_noise: flags["frac_noise"].as_f64().unwrap(),
            min_examples_per_class: flags["min_examples_per_class"].as_u64().unwrap(),
            confident_joint: tied.then_some(&expected),
            ..FilterOptions::default()
        };
        let found = rows_of(&evidence.find_label_issues(&options).unwrap());
        let rows: Vec<usize> = numbers(&flags["rows"]).iter().map(|row| *row as usize).collect();
        assert_eq!(found, rows, "{name}: {options:?}");
        totals.flags += 1;
    }
    check_scores(case, &dataset, name, totals);
    check_noise(case, &dataset, &expected, name);
}

fn check_scores(case: &Value, dataset: &Dataset<'_>, name: &str, totals: &mut Totals) {
    for (method, expected) in case["scores"].as_object().unwrap() {
        for entropy in [EntropyMode::Fixed, EntropyMode::Compatible] {
            let (plain, adjust_pred_probs) = match method.strip_suffix("_adjusted") {
                Some(plain) => (plain, true),
                None => (method.as_str(), false),
            };
            let method = plain.parse().unwrap();
            let options = ScoreOptions { method, adjust_pred_probs, entropy };
            let found = dataset.label_quality_scores(&options).unwrap();
            assert_close(&found, &numbers(expected), 1e-9, name);
        }
        totals.scores += 1;
    }
}

fn check_noise(case: &Value, dataset: &Dataset<'_>, joint: &SquareMatrix<u64>, name: &str) {
    let latent = estimate_latent(joint, dataset.class_counts()).unwrap();
    let expected = &case["latent"];
    assert_close(&latent.prior, &numbers(&expected["prior"]), 1e-9, name);
    let matrix = table(&expected["noise_matrix"]);
    assert_close(latent.noise_matrix.cells(), &matrix, 1e-9, name);
    let matrix = table(&expected["inverse_noise_matrix"]);
    assert_close(latent.inverse_noise_matrix.cells(), &matrix, 1e-9, name);

    let joint = estimate_joint(joint, dataset.class_counts()).unwrap();
    let mut classes = class_summaries(&joint, dataset.labelled());
    let rising = classes.is_sorted_by(|a, b| a.label_quality <= b.label_quality);
    assert!(rising, "{name}: order of classes");
    classes.sort_by_key(|one| one.class);
    let mut expected: Vec<&Value> = case["classes_by_quality"].as_array().unwrap().iter().collect();
    expected.sort_by_key(|one| one["class"].as_u64());
    for (found, expected) in classes.iter().zip(expected) {
        let number = |key: &str| expected[key].as_f64().unwrap();
        let counts = [found.label_issues as f64, found.inverse_label_issues as f64];
        assert_eq!(counts, [number("label_issues"), number("inverse_label_issues")], "{name}");
        let found = [found.label_noise, found.inverse_label_noise, found.label_quality];
        let keys = ["label_noise", "inverse_label_noise", "label_quality"];
        assert_close(&found, &keys.map(number), 1e-9, name);
    }
}

/// Asserts that rows differ only in units that moved between cells with equal fractions.
fn assert_tied(found: &SquareMatrix<u64>, expected: &SquareMatrix<u64>, evidence: &Evidence<'_>) {
    let raw = evidence.confident_joint().rows();
    for ((found, expected), raw) in found.rows().zip(expected.rows()).zip(raw) {
        let rows = expected.iter().sum::<u64>();
        assert_eq!(found.iter().sum::<u64>(), rows);
        let scale = rows as f64 / raw.iter().sum::<u64>() as f64;
        let moved = (0..raw.len()).filter(|cell| found[*cell] != expected[*cell]);
        let fractions: Vec<f64> = moved.map(|cell| (raw[cell] as f64 * scale).fract()).collect();
        let tied = fractions.iter().all(|fraction| (fraction - fractions[0]).abs() < 1e-9);
        assert!(tied, "{found:?} instead of {expected:?}");
    }
}

fn trace(joint: &SquareMatrix<u64>) -> u64 {
    (0..joint.classes()).map(|class| joint[(class, class)]).sum()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn table(rows: &Value) -> Vec<f64> {
    rows.as_array().unwrap().iter().flat_map(numbers).collect()
}

fn joint(rows: &Value, classes: usize) -> SquareMatrix<u64> {
    let cells = table(rows).iter().map(|count| *count as u64).collect();
    SquareMatrix::from_cells(classes, cells).unwrap()
}
