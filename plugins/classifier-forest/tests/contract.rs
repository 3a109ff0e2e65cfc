//! The promises of `forest`; see `plugin_sdk::checks`.

use classifier_forest::Forest;
use plugin_sdk::checks;

const HASHED: &str = r#"{"projection": "hashed", "dimensions": 256, "calibrate": "given"}"#;

#[test]
fn threads_do_not_change_a_byte() {
    checks::threads_do_not_change_a_byte::<Forest>(r#"{"trees": 11}"#, 1500);
}

#[test]
fn held_out_rows_do_not_change_the_model() {
    for params in ["{}", HASHED, r#"{"dimensions": 20}"#] {
        checks::held_out_rows_do_not_change_the_model::<Forest>(params);
    }
}

#[test]
fn hard_input_gives_probabilities() {
    for params in ["{}", HASHED, r#"{"min_df": 1, "calibrate": "none", "trees": 3}"#] {
        checks::hard_input_gives_probabilities::<Forest>(params);
    }
}

#[test]
fn garbage_is_no_model() {
    checks::garbage_is_no_model::<Forest>("{}");
    checks::garbage_is_no_model::<Forest>(HASHED);
}

#[test]
fn it_learns() {
    for params in ["{}", HASHED] {
        checks::it_learns::<Forest>(params, 0.75);
    }
}

#[test]
fn weights_count() {
    checks::weights_count::<Forest>("{}");
}

#[test]
fn sizes_out_of_bounds_are_errors_that_help() {
    let hashed = r#"{"projection": "hashed", "dimensions": 1000000}"#;
    checks::error_names::<Forest>(hashed, 3, "dimensions");
    checks::refused::<Forest>(r#"{"dimensions": 1}"#, "dimensions");
    checks::refused::<Forest>(r#"{"trees": 0}"#, "trees");
    checks::refused::<Forest>(r#"{"rows_per_tree": 10001}"#, "rows_per_tree");
    checks::refused::<Forest>(r#"{"features_per_split": 0}"#, "features_per_split");
    checks::refused::<Forest>(r#"{"depth": 0}"#, "depth");
    checks::refused::<Forest>(r#"{"smoothing": 0}"#, "smoothing");
}

#[test]
fn cancelling_is_heeded() {
    checks::cancelling_is_heeded::<Forest>("{}");
}

#[test]
fn the_first_candidate_is_the_defaults() {
    checks::candidates_are_parameters::<Forest>();
}
