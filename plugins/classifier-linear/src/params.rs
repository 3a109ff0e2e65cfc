//! The parameters of `linear`, as a pipeline file writes them, and what the code reads.

use plugin_sdk::Error;
pub use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::text::TextSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `linear`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
// What `params: auto` may try, cheap ones first: the defaults; for labels with many errors; for few
// classes of which one has most records and many errors; for clean labels and many classes; for word
// order, and the same with errors.
#[schemars(extend("x-relabel-auto" = [
    {},
    {"c": 1.0, "doubt": 0.6},
    {"c": 0.3, "doubt": 0.6},
    {"c": 5.0},
    {"word_ngrams": 2},
    {"word_ngrams": 2, "c": 1.0, "doubt": 0.6},
    {"word_ngrams": 2, "c": 0.3, "doubt": 0.6},
]))]
pub struct Params {
    /// Longest run of words that is a feature: 1 for words, 2 for pairs too.
    #[schemars(range(min = 1, max = 3))]
    pub word_ngrams: u8,
    /// Shortest and longest run of characters inside a word that is a feature too, as in `[3, 5]`.
    pub char_ngrams: Option<(u8, u8)>,
    /// Puts features into 2 to the power of this many buckets; null keeps an exact vocabulary.
    #[schemars(range(min = 8, max = 26))]
    pub hash_bits: Option<u8>,
    /// Features in fewer training rows than this are left out.
    #[schemars(range(min = 1))]
    pub min_df: u32,
    /// Count a word `n` times in a text as 1 + ln n.
    pub sublinear_tf: bool,
    /// Weigh features by the inverse of their document frequency in the training rows.
    pub idf: bool,
    /// Inverse strength of the L2 regularisation, per row: small is strong, and forgives more noise.
    #[schemars(range(min = 0.0001, max = 1000.0))]
    pub c: f64,
    /// How far labels that the other rows contradict are doubted; they then count less. 0 takes
    /// every label as right.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub doubt: f64,
    /// Passes over the training rows.
    #[schemars(range(min = 1, max = 1000))]
    pub epochs: u32,
    /// `balanced` weighs rows by the inverse of their class's frequency.
    pub class_weight: ClassWeight,
    /// What confidences mean; learnt inside the training rows.
    pub calibrate: Calibrate,
}

/// Weights of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeight {
    None,
    Balanced,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            word_ngrams: 1,
            char_ngrams: None,
            hash_bits: None,
            min_df: 2,
            sublinear_tf: true,
            idf: true,
            c: 2.0,
            doubt: 0.2,
            epochs: 5,
            class_weight: ClassWeight::None,
            calibrate: Calibrate::Truth,
        }
    }
}

/// What `fit` needs of the parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Learning {
    pub min_df: u32,
    pub sublinear_tf: bool,
    pub idf: bool,
    pub c: f32,
    pub doubt: f32,
    pub epochs: u32,
    pub class_weight: ClassWeight,
    pub calibrate: Calibrate,
}

impl Params {
    /// Checks what a JSON Schema checks too: plugins may be called without one.
    pub(crate) fn split(&self) -> Result<(TextSettings, Learning), Error> {
        let wrong = |name: &str, rule: &str| Err(Error::new(format!("parameter `{name}` {rule}")));
        let settings = TextSettings {
            word_ngrams: self.word_ngrams,
            char_ngrams: self.char_ngrams.unwrap_or((0, 0)),
            hash_bits: self.hash_bits.unwrap_or(0),
        };
        settings.check()?;
        if self.min_df == 0 {
            return wrong("min_df", "must be at least 1");
        }
        if !(1e-4..=1e3).contains(&self.c) {
            return wrong("c", "must be within 0.0001 and 1000");
        }
        if !(0.0..=1.0).contains(&self.doubt) {
            return wrong("doubt", "must be within 0 and 1");
        }
        if !(1..=1000).contains(&self.epochs) {
            return wrong("epochs", "must be within 1 and 1000");
        }
        let learning = Learning {
            min_df: self.min_df,
            sublinear_tf: self.sublinear_tf,
            idf: self.idf,
            c: self.c as f32,
            doubt: self.doubt as f32,
            epochs: self.epochs,
            class_weight: self.class_weight,
            calibrate: self.calibrate,
        };
        Ok((settings, learning))
    }
}
