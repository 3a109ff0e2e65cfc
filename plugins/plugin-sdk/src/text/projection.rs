//! Texts in a fixed number of dimensions, for methods whose memory grows with them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::selection::Selection;
use super::vectoriser::{Resolved, Vectoriser, Weighting};
use crate::{Error, Training};

/// Most dimensions a projection has.
const MOST_DIMENSIONS: u32 = 1 << 20;

/// How features become dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// The features that tell most about the class in the training rows (chi-square), one a
    /// dimension.
    Truncated,
    /// All features, hashed to dimensions with a sign.
    Hashed,
}

/// A projection and its size.
#[derive(Debug, Clone, Copy)]
pub struct ProjectionSettings {
    pub projection: Projection,
    pub dimensions: u32,
    /// Features in fewer training rows are left out.
    pub min_df: u32,
}

impl ProjectionSettings {
    /// Fails, by the name of the parameter, when a value is out of range.
    pub fn check(&self) -> Result<(), Error> {
        if !(2..=MOST_DIMENSIONS).contains(&self.dimensions) {
            return Err(Error::new("parameter `dimensions` must be within 2 and 1048576"));
        }
        if self.min_df == 0 {
            return Err(Error::new("parameter `min_df` must be at least 1"));
        }
        Ok(())
    }

    /// Learns from the training rows how to make vectors; `weighting.hashed_to` is set here.
    pub fn learn<'a>(
        &self,
        counts: &'a Counts,
        training: &Training<'_>,
        weighting: Weighting,
    ) -> (Vectoriser, Resolved<'a>) {
        let (selection, hashed_to) = match self.projection {
            Projection::Truncated => {
                let most = self.dimensions as usize;
                (Selection::telling(counts, training, self.min_df, most), 0)
            }
            Projection::Hashed => {
                let all = Selection::frequent(counts, training.rows, self.min_df, usize::MAX);
                (all, self.dimensions)
            }
        };
        let weighting = Weighting { hashed_to, ..weighting };
        let vectoriser = Vectoriser::new(counts, &selection, training.rows.len(), weighting);
        let resolved = vectoriser.resolve_selection(counts, &selection);
        (vectoriser, resolved)
    }
}
