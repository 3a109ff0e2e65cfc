//! Write a classifier plugin in safe Rust: implement [`Classifier`] and call [`export!`].
//!
//! The SDK turns the trait into the C table of `plugin-abi`: it checks pointers, Arrow types,
//! UTF-8 and row numbers before the plugin sees them, parses parameters, and stops panics at the
//! boundary. It knows nothing of the host, of frames or of files.
//!
//! A plugin can rely on this: rows are below the corpus length, labels below the class count,
//! weights finite and above 0, and a model given to `predict` or `save` is one of its own.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod abi_table;
mod arrow_in;
mod arrow_out;
pub mod bytes;
pub mod calibrate;
#[cfg(feature = "checks")]
pub mod checks;
mod context;
mod envelope;
mod error;
pub mod lanes;
pub mod math;
pub mod random;
pub mod text;
mod threads;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use abi_table::fill_table;
pub use arrow_in::{Column, ColumnValues, Texts};
pub use context::Context;
pub use error::Error;
/// For [`export!`] and for hosts in tests.
pub use plugin_abi as abi;
pub use threads::for_each_part;

/// What a plugin says of itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The word in a pipeline file: a-z, 0-9 and `-`.
    pub name: &'static str,
    /// `MAJOR.MINOR.PATCH`; `env!("CARGO_PKG_VERSION")` as a rule.
    pub version: &'static str,
    pub description: &'static str,
    /// SPDX expression.
    pub licence: &'static str,
    pub capabilities: &'static [&'static str],
}

/// The rows and labels one model is fitted on.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// Rows of the corpus to learn from.
    pub rows: &'a [u32],
    /// Class of each of `rows`.
    pub labels: &'a [u32],
    /// Weight of each of `rows`; all 1 when absent.
    pub weights: Option<&'a [f32]>,
    /// At least 2; some classes may have no row.
    pub class_count: usize,
    pub seed: u64,
}

impl Training<'_> {
    /// Returns the weight of the training row at `position`.
    pub fn weight(&self, position: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[position])
    }

    /// Returns the weight of each class, as if each had one row more, so that none is impossible.
    pub fn smoothed_totals(&self) -> Vec<f64> {
        let mut totals = vec![1.0_f64; self.class_count];
        for (position, &label) in self.labels.iter().enumerate() {
            totals[label as usize] += f64::from(self.weight(position));
        }
        totals
    }

    /// Returns the share of each class in [`Training::smoothed_totals`].
    pub fn smoothed_shares(&self) -> Vec<f32> {
        let totals = self.smoothed_totals();
        let sum: f64 = totals.iter().sum();
        totals.into_iter().map(|total| (total / sum) as f32).collect()
    }
}

/// A classifier, as its author sees it.
///
/// Methods may run on several threads at once over one corpus. The same input, seed and parameters
/// must give the same bytes for any number of threads.
pub trait Classifier: 'static {
    /// Read from the pipeline file. Say `#[serde(deny_unknown_fields, default)]`, so that typing
    /// errors are found, and give every field a doc comment: it goes into the JSON Schema. The types
    /// of its fields must be `Serialize`, or their defaults are missing there.
    type Params: DeserializeOwned + JsonSchema;
    type Corpus: Send + Sync + 'static;
    type Model: Send + Sync + 'static;

    const ABOUT: About;

    /// Does the label-free work for all folds, once.
    fn prepare(
        params: Self::Params,
        texts: &Texts<'_>,
        context: &Context<'_>,
    ) -> Result<Self::Corpus, Error>;

    /// Learns a model from the training rows alone; nothing may come from other rows of the corpus.
    fn fit(
        corpus: &Self::Corpus,
        training: &Training<'_>,
        context: &Context<'_>,
    ) -> Result<Self::Model, Error>;

    /// Writes probabilities: `scores` is zeroed, row-major, one row of classes for each of `rows`.
    ///
    /// The corpus may be another one than the model was fitted on.
    fn predict(
        corpus: &Self::Corpus,
        model: &Self::Model,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error>;

    /// Returns bytes for `load`. The SDK adds the plugin's name, its class count and a checksum.
    fn save(model: &Self::Model) -> Result<Vec<u8>, Error>;

    /// Reads what `save` wrote. Bytes may still come from an older version: start with a format
    /// number, and make lengths that do not fit an error.
    fn load(bytes: &[u8], class_count: usize) -> Result<Self::Model, Error>;
}

/// Exports a [`Classifier`] as this library's plugin. Call it once, at the top of the crate.
///
/// The symbol is the same in every plugin: never link two plugin crates into one program.
#[macro_export]
macro_rules! export {
    ($classifier:ty) => {
        /// The entry symbol of the plugin boundary; see `plugin.h`.
        ///
        /// # Safety
        ///
        /// `table` and `error` are null or point to writable structs of version `version`.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn relabel_classifier_entry(
            version: u32,
            table: *mut $crate::abi::ClassifierTable,
            error: *mut $crate::abi::Error,
        ) -> $crate::abi::Status {
            // SAFETY: the caller's promise is the same.
            unsafe { $crate::fill_table::<$classifier>(version, table, error) }
        }
    };
}
