//! What can be wrong with the input. Rows and classes are named by their numbers.

/// The reasons for which input is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{rows} rows of probabilities but {labels} labels")]
    LabelCount { rows: usize, labels: usize },

    #[error("{classes} classes, at least 2 are needed")]
    TooFewClasses { classes: usize },

    #[error("a table of {classes} x {classes} classes does not fit into memory")]
    TooManyClasses { classes: usize },

    #[error("{rows} rows, at most {} are possible", u32::MAX)]
    TooManyRows { rows: usize },

    #[error("no row has a label")]
    NoLabels,

    #[error("row {row} has label {label} but there are only {classes} classes")]
    LabelOutOfRange { row: usize, label: u32, classes: usize },

    #[error("{values} probabilities are not a whole number of rows of {classes} classes")]
    Ragged { values: usize, classes: usize },

    #[error("{found} rows of probabilities were read, {promised} were promised")]
    RowCount { found: usize, promised: usize },

    #[error("row {row}: the probability of class {class} is {value}")]
    Probability { row: usize, class: usize, value: f64 },

    #[error("row {row}: the probabilities sum to {sum}, not to 1")]
    RowSum { row: usize, sum: f64 },

    #[error("{keys} keys that break ties, but {rows} rows")]
    TieKeys { rows: usize, keys: usize },

    #[error("row {row} does not exist, there are {rows}")]
    NoSuchRow { row: u32, rows: usize },

    #[error("`frac_noise` is {value}, it must lie between 0 and 1")]
    FracNoise { value: f64 },

    #[error("a matrix of {classes} classes needs {expected} cells but has {found}")]
    MatrixShape { classes: usize, expected: usize, found: usize },

    #[error("the joint is for {found} classes, the data has {expected}")]
    JointClasses { expected: usize, found: usize },

    #[error("the joint's count for given class {given} and true class {guessed} is too large")]
    JointCount { given: usize, guessed: usize },

    #[error("the joint has {count} wrong labels for the {rows} rows of class {given}")]
    JointRow { given: usize, count: u64, rows: u64 },

    #[error("{found} class counts for {expected} classes")]
    ClassCounts { expected: usize, found: usize },

    #[error("`num_to_remove_per_class` has {found} entries for {classes} classes")]
    NumToRemoveLength { classes: usize, found: usize },

    #[error("`num_to_remove_per_class` asks for {wanted} of the {rows} rows of class {class}")]
    NumToRemove { class: usize, wanted: u64, rows: u64 },

    #[error("`adjust_pred_probs` is possible for self_confidence and normalized_margin only")]
    CannotAdjust,

    #[error("row {row} has no vote")]
    NoVotes { row: usize },

    #[error("row {row} has a vote of reviewer {reviewer} but there are only {reviewers}")]
    NoSuchReviewer { row: usize, reviewer: u32, reviewers: usize },

    #[error("no row has votes of two reviewers")]
    NoOverlap,

    #[error("unknown {what} `{name}`")]
    UnknownName { what: &'static str, name: String },

    /// The source of the probabilities failed; for implementors of `Probabilities`.
    #[error("the probabilities cannot be read")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}
