//! The made-up data set behind `relabel demo`, and the reviewer who looks at its truth.

pub mod compose;
pub mod corpus;
pub mod generate;
pub mod noise;
pub mod reviewer;
pub mod rng;
