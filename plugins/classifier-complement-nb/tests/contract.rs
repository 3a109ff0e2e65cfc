//! The promises of `complement-nb`; see `plugin_sdk::checks`.

use classifier_complement_nb::ComplementNb;
use plugin_sdk::checks;

const PAIRS: &str = r#"{"word_ngrams": 2, "alpha": 0.5, "calibrate": "given"}"#;

#[test]
fn threads_do_not_change_a_byte() {
    checks::threads_do_not_change_a_byte::<ComplementNb>("{}", 4000);
}

#[test]
fn held_out_rows_do_not_change_the_model() {
    for params in ["{}", PAIRS, r#"{"max_features": 20}"#] {
        checks::held_out_rows_do_not_change_the_model::<ComplementNb>(params);
    }
}

#[test]
fn hard_input_gives_probabilities() {
    for params in ["{}", r#"{"min_df": 1, "max_features": 10000, "calibrate": "none"}"#] {
        checks::hard_input_gives_probabilities::<ComplementNb>(params);
    }
}

#[test]
fn garbage_is_no_model() {
    checks::garbage_is_no_model::<ComplementNb>(PAIRS);
}

#[test]
fn it_learns() {
    for params in ["{}", PAIRS] {
        checks::it_learns::<ComplementNb>(params, 0.75);
    }
}

#[test]
fn weights_count() {
    checks::weights_count::<ComplementNb>("{}");
}

#[test]
fn too_many_cells_are_an_error_that_helps() {
    checks::error_names::<ComplementNb>(r#"{"min_df": 1}"#, 1_000_000, "max_features");
    for params in [r#"{"alpha": 0}"#, r#"{"alpha": 1e9}"#] {
        checks::refused::<ComplementNb>(params, "alpha");
    }
}

#[test]
fn the_first_candidate_is_the_defaults() {
    checks::candidates_are_parameters::<ComplementNb>();
}

#[test]
fn cancelling_is_heeded() {
    checks::cancelling_is_heeded::<ComplementNb>("{}");
}
