//! The promises of `logistic`; see `plugin_sdk::checks`.

use classifier_logistic::Logistic;
use plugin_sdk::checks;

const HASHED: &str = r#"{"projection": "hashed", "dimensions": 256, "calibrate": "given"}"#;

#[test]
fn threads_do_not_change_a_byte() {
    checks::threads_do_not_change_a_byte::<Logistic>("{}", 4000);
}

#[test]
fn held_out_rows_do_not_change_the_model() {
    for params in ["{}", HASHED, r#"{"dimensions": 20}"#] {
        checks::held_out_rows_do_not_change_the_model::<Logistic>(params);
    }
}

#[test]
fn hard_input_gives_probabilities() {
    for params in
        ["{}", HASHED, r#"{"min_df": 1, "dimensions": 512, "calibrate": "none", "c": 1000}"#]
    {
        checks::hard_input_gives_probabilities::<Logistic>(params);
    }
}

#[test]
fn garbage_is_no_model() {
    checks::garbage_is_no_model::<Logistic>("{}");
    checks::garbage_is_no_model::<Logistic>(HASHED);
}

#[test]
fn it_learns() {
    for params in ["{}", HASHED] {
        checks::it_learns::<Logistic>(params, 0.75);
    }
}

#[test]
fn weights_count() {
    checks::weights_count::<Logistic>("{}");
}

#[test]
fn too_many_weights_are_an_error_that_helps() {
    checks::error_names::<Logistic>(r#"{"min_df": 1}"#, 100_000, "dimensions");
    checks::refused::<Logistic>(r#"{"c": 0}"#, "c");
    checks::refused::<Logistic>(r#"{"dimensions": 1}"#, "dimensions");
    checks::refused::<Logistic>(r#"{"iterations": 0}"#, "iterations");
}

#[test]
fn cancelling_is_heeded() {
    checks::cancelling_is_heeded::<Logistic>("{}");
}

#[test]
fn the_first_candidate_is_the_defaults() {
    checks::candidates_are_parameters::<Logistic>();
}
