//! Finding wrong labels: confident learning, its filters and scores, on plain slices.
//!
//! The caller brings given labels and out-of-fold probabilities; this crate answers which rows look
//! mislabelled, how many there should be, and which classes are mixed up. It knows nothing of
//! frames, files or class names: rows and classes are numbers here.
//!
//! Probabilities are read in passes over blocks of rows (see [`Probabilities`]). Nothing of size
//! rows x classes is ever allocated, and every reduction is a count, an exact fixed-point sum or a
//! selection under a total order. So neither the size of the blocks nor the order of the rows can
//! change an answer.
//!
//! Where to start:
//!
//! 1. [`Dataset::new`] checks everything that can be wrong and finds the class thresholds.
//! 2. [`Dataset::evidence`] counts the confident joint and marks each row.
//! 3. [`Evidence::find_label_issues`] and [`Evidence::num_label_issues`] flag and count;
//!    [`Dataset::label_quality_scores`], [`Dataset::label_posteriors`] and [`rank()`] order.
//! 4. [`Acceptance`] learns from decisions how often such flags are right, and [`outlook`]
//!    estimates from control rows what was not found.
//! 5. [`Crowd::opinion`] weighs several reviewers of one row against each other and the model.
//! 6. [`calibrate`], [`estimate_joint`], [`estimate_latent`], [`class_summaries`] and
//!    [`class_overlaps`] describe the noise from the joint alone.
//! 7. [`Temperature`] and [`Isotonic`] make probabilities mean what they say.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod acceptance;
mod agreement;
mod calibrators;
mod crowd;
mod dataset;
mod error;
mod estimate;
mod evidence;
mod filter;
mod kernel;
mod lanes;
mod latent;
mod matrix;
mod posterior;
mod probabilities;
mod prune;
mod rank;
mod renormalize;
mod rounding;
mod scores;
mod selection;
mod summary;
mod violators;

pub use acceptance::{Acceptance, FEWEST_DECISIONS, Judged};
pub use agreement::{bootstrap, cohen, fleiss, krippendorff, reviewer_quality};
pub use calibrators::{Isotonic, Temperature};
pub use crowd::{Consensus, Crowd, Opinion, Reviewer};
pub use dataset::{Dataset, MISSING};
pub use error::Error;
pub use estimate::{Cohort, Count, Interval, Outlook, Stratum, outlook, share_interval};
pub use evidence::{Collision, EstimationMethod, Evidence};
pub use filter::{FilterBy, FilterOptions};
pub use lanes::{Predictions, class_thresholds, is_confident};
pub use latent::{Latent, estimate_latent};
pub use matrix::SquareMatrix;
pub use posterior::{NoiseRates, Posteriors};
pub use probabilities::{Dense, Probabilities, Rows, Visitor};
pub use prune::prune_count_matrix;
pub use rank::{TieBreak, rank, rank_rows};
pub use renormalize::{Renormalized, SUM_EXACT, SUM_TOLERANCE};
pub use rounding::{calibrate, estimate_joint};
pub use scores::{EntropyMode, ScoreMethod, ScoreOptions};
pub use summary::{ClassOverlap, ClassSummary, class_overlaps, class_summaries, joint_health};
