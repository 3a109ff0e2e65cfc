//! The promises of `knn`; see `plugin_sdk::checks`.

use classifier_knn::Knn;
use plugin_sdk::checks;

const TRUNCATED: &str = r#"{"projection": "truncated", "dimensions": 256, "calibrate": "given"}"#;

#[test]
fn threads_do_not_change_a_byte() {
    checks::threads_do_not_change_a_byte::<Knn>("{}", 4000);
}

#[test]
fn held_out_rows_do_not_change_the_model() {
    for params in ["{}", TRUNCATED, r#"{"dimensions": 20}"#] {
        checks::held_out_rows_do_not_change_the_model::<Knn>(params);
    }
}

#[test]
fn hard_input_gives_probabilities() {
    for params in ["{}", TRUNCATED, r#"{"min_df": 1, "calibrate": "none", "neighbours": 1}"#] {
        checks::hard_input_gives_probabilities::<Knn>(params);
    }
}

#[test]
fn garbage_is_no_model() {
    checks::garbage_is_no_model::<Knn>("{}");
    checks::garbage_is_no_model::<Knn>(TRUNCATED);
}

#[test]
fn it_learns() {
    for params in ["{}", TRUNCATED] {
        checks::it_learns::<Knn>(params, 0.75);
    }
}

#[test]
fn weights_count() {
    checks::weights_count::<Knn>("{}");
}

#[test]
fn parameters_out_of_range_are_refused() {
    checks::refused::<Knn>(r#"{"dimensions": 1}"#, "dimensions");
    checks::refused::<Knn>(r#"{"neighbours": 0}"#, "neighbours");
    checks::refused::<Knn>(r#"{"max_rows": 0}"#, "max_rows");
    checks::refused::<Knn>(r#"{"smoothing": 0}"#, "smoothing");
}

#[test]
fn cancelling_is_heeded() {
    checks::cancelling_is_heeded::<Knn>("{}");
}

#[test]
fn the_first_candidate_is_the_defaults() {
    checks::candidates_are_parameters::<Knn>();
}
