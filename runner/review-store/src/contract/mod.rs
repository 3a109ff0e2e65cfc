//! What every backend must do, as tests that are called with an opener for each.
//!
//! A backend invokes [`contract_tests!`] with its [`Opener`], and [`shared_contract_tests!`] too
//! if several connections can have one store open.

pub(crate) mod gold;
pub(crate) mod ledger;
pub(crate) mod model;
pub(crate) mod queue;
pub(crate) mod shared;
pub(crate) mod support;

use crate::ReviewStore;

/// Gives tests stores of one backend.
pub(crate) trait Opener: Sync {
    /// A new and empty place for a store; nobody else knows it.
    fn fresh() -> Self;

    /// Connects to the store at that place.
    fn connect(&self) -> Box<dyn ReviewStore>;
}

macro_rules! tests_of {
    ($opener:ty: $($module:ident::$test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                $crate::contract::$module::$test(&<$opener as $crate::contract::Opener>::fresh());
            }
        )*
    };
}
pub(crate) use tests_of;

macro_rules! contract_tests {
    ($opener:ty) => {
        $crate::contract::tests_of! { $opener:
            queue::a_new_store_is_empty,
            queue::the_same_batch_twice_changes_nothing,
            queue::a_changed_item_is_refreshed,
            queue::items_no_longer_asked_for_are_withdrawn_and_come_back,
            queue::verified_records_are_not_queued_again,
            queue::a_changed_text_is_queued_again,
            queue::unsure_comes_back_in_the_next_audit_run_only,
            queue::queues_do_not_touch_each_other,
            queue::a_batch_is_held_until_another_comes,
            queue::items_come_back_as_queued_and_by_rank,
            queue::bad_batches_change_nothing,
            queue::status_counts,
            ledger::rows_carry_what_was_shown,
            ledger::rows_carry_how_their_item_came,
            ledger::a_bad_decision_stops_the_whole_batch,
            ledger::recording_again_appends_nothing,
            ledger::undo_brings_back_the_decision_before,
            ledger::undo_needs_something_to_undo,
            ledger::a_stale_reference_is_refused,
            ledger::withdrawn_items_still_take_decisions,
            ledger::queues_that_disagree_must_be_named,
            ledger::a_decision_on_another_text_is_refused,
            ledger::wrong_given_and_right_proposal_are_told_apart,
            ledger::the_chain_verifies,
            ledger::exported_decisions_make_an_equal_store,
            ledger::exported_history_makes_an_equal_store,
            gold::answers_to_gold_rows_are_never_in_effect,
            gold::a_verified_record_may_be_gold,
            gold::no_text_makes_a_row_gold,
            model::random_use_agrees_with_the_model,
        }
    };
}
pub(crate) use contract_tests;

macro_rules! shared_contract_tests {
    ($opener:ty) => {
        $crate::contract::tests_of! { $opener:
            shared::a_store_outlives_its_connections,
            shared::several_may_open_a_new_store_at_once,
            shared::concurrent_importers_lose_nothing,
            shared::readers_see_whole_batches_only,
        }
    };
}
pub(crate) use shared_contract_tests;
