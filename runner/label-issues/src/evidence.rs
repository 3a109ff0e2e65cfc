//! One pass that guesses each row's true class: the confident joint, and a byte of marks per row.

use crate::dataset::{Dataset, label_of};
use crate::kernel::{Limits, Standing, Value, count_confident, position_of};
use crate::probabilities::{At, RowVisitor};
use crate::rounding::{TINY, estimate_joint};
use crate::{Error, SquareMatrix};

/// How far below its threshold a probability still counts as confident.
pub(crate) const SLACK: f64 = 1e-6;

/// The guess of a row that is confidently of several classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collision {
    /// The most probable of all classes, confident or not; what cleanlab does.
    #[default]
    Cleanlab,
    /// The most probable of the confident classes; what the paper says.
    Paper,
}

impl Collision {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cleanlab => "cleanlab",
            Self::Paper => "paper",
        }
    }
}

impl std::str::FromStr for Collision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let all = [Self::Cleanlab, Self::Paper];
        let unknown = || Error::UnknownName { what: "collision", name: name.to_owned() };
        all.into_iter().find(|one| one.as_str() == name).ok_or_else(unknown)
    }
}

/// How [`Evidence::num_label_issues`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EstimationMethod {
    /// Rows off the diagonal of the joint whose prediction is not close to their label.
    #[default]
    OffDiagonal,
    /// What lies off the diagonal of the calibrated joint.
    OffDiagonalCalibrated,
}

impl EstimationMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OffDiagonal => "off_diagonal",
            Self::OffDiagonalCalibrated => "off_diagonal_calibrated",
        }
    }
}

impl std::str::FromStr for EstimationMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let all = [Self::OffDiagonal, Self::OffDiagonalCalibrated];
        let unknown = || Error::UnknownName { what: "estimation method", name: name.to_owned() };
        all.into_iter().find(|one| one.as_str() == name).ok_or_else(unknown)
    }
}

/// The confident joint of a data set, and what each row contributed.
pub struct Evidence<'a> {
    pub(crate) dataset: &'a Dataset<'a>,
    confident_joint: SquareMatrix<u64>,
    marks: Vec<Marks>,
    num_off_diagonal: u64,
}

impl<'a> Dataset<'a> {
    /// Guesses the true class of every row. One pass; one byte per row is kept.
    pub fn evidence(&'a self, collision: Collision) -> Result<Evidence<'a>, Error> {
        let limits = self.confident_thresholds().iter().map(|threshold| threshold - SLACK);
        let (labels, limits) = (self.labels, &Limits::new(limits.collect()));
        let mut marks = vec![Marks::default(); self.rows()];
        let guesses = |marks| {
            let joint = SquareMatrix::filled(self.classes(), 0)?;
            Ok(Guesses { labels, limits, collision, joint, marks })
        };
        let pieces = marks.chunks_mut(self.piece_rows()).map(guesses);
        let mut pieces = pieces.collect::<Result<Vec<_>, Error>>()?;
        self.pass(&mut pieces)?;
        let mut joints = pieces.into_iter().map(|piece| piece.joint);
        let mut joint = joints.next().ok_or(Error::NoLabels)?;
        for more in joints {
            joint.cells_mut().zip(more.cells()).for_each(|(sum, count)| *sum += count);
        }
        for class in 0..self.classes() {
            joint[(class, class)] = joint[(class, class)].max(1);
        }
        let num_off_diagonal = marks.iter().filter(|marks| marks.is_off_diagonal()).count() as u64;
        Ok(Evidence { dataset: self, confident_joint: joint, marks, num_off_diagonal })
    }
}

impl Evidence<'_> {
    /// Returns the counts of given (row) and guessed (column) classes, at least 1 on the diagonal.
    pub fn confident_joint(&self) -> &SquareMatrix<u64> {
        &self.confident_joint
    }

    /// Returns the calibrated joint: the row of each given class sums to its number of rows.
    pub fn calibrated_joint(&self) -> Result<SquareMatrix<u64>, Error> {
        crate::calibrate(&self.confident_joint, self.dataset.class_counts())
    }

    /// Returns the estimated number of wrong labels.
    pub fn num_label_issues(&self, method: EstimationMethod) -> Result<u64, Error> {
        match method {
            EstimationMethod::OffDiagonal => Ok(self.num_off_diagonal),
            EstimationMethod::OffDiagonalCalibrated => {
                let joint = estimate_joint(&self.confident_joint, self.dataset.class_counts())?;
                let rows = self.dataset.labelled() as f64;
                let wrong = rows * (1.0 - joint.diagonal().sum::<f64>());
                Ok(wrong.round_ties_even().max(0.0) as u64)
            }
        }
    }

    /// Returns the share of rows that is not estimated to be wrong.
    pub fn health(&self) -> f64 {
        1.0 - self.num_off_diagonal as f64 / (self.dataset.labelled() as f64).max(TINY)
    }

    pub(crate) fn marks(&self) -> &[Marks] {
        &self.marks
    }
}

/// What is known of a row after its guess. A row without a label has no marks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Marks(u8);

impl Marks {
    const OFF_DIAGONAL: u8 = 1;
    const DISAGREES: u8 = 2;
    const CLOSE: u8 = 4;

    /// The guess is not the given class, and the prediction is not close to it.
    pub(crate) fn is_off_diagonal(self) -> bool {
        self.0 & (Self::OFF_DIAGONAL | Self::CLOSE) == Self::OFF_DIAGONAL
    }

    /// The prediction is neither the given class nor close to it.
    pub(crate) fn is_disagreement(self) -> bool {
        self.0 & (Self::DISAGREES | Self::CLOSE) == Self::DISAGREES
    }

    /// The given class is the most probable one, or would be with a millionth more.
    pub(crate) fn is_close(self) -> bool {
        self.0 & Self::CLOSE != 0
    }
}

struct Guesses<'a> {
    labels: &'a [u32],
    limits: &'a Limits,
    collision: Collision,
    joint: SquareMatrix<u64>,
    marks: &'a mut [Marks],
}

impl RowVisitor for Guesses<'_> {
    fn row<T: Value>(&mut self, at: At, values: &[T]) -> Result<(), Error> {
        let Some(label) = label_of(self.labels, at.row) else {
            return Ok(());
        };
        let standing = Standing::new(values, label);
        let limits = T::limits(self.limits);
        let mut marks = 0;
        if let Some(guess) = guess(values, limits, standing, label, self.collision) {
            self.joint[(label, guess)] += 1;
            marks |= if guess == label { 0 } else { Marks::OFF_DIAGONAL };
        }
        marks |= if standing.disagrees() { Marks::DISAGREES } else { 0 };
        marks |= if standing.close() { Marks::CLOSE } else { 0 };
        self.marks[at.nth] = Marks(marks);
        Ok(())
    }
}

fn guess<T: Value>(
    values: &[T],
    limits: &[T],
    standing: Standing<T>,
    label: usize,
    collision: Collision,
) -> Option<usize> {
    match count_confident(values, limits) {
        0 => None,
        // Mostly the prediction is the one confident class, and often it is the given one.
        1 => {
            let prediction = standing.prediction(values, label);
            if values[prediction] >= limits[prediction] {
                return Some(prediction);
            }
            values.iter().zip(limits).position(|(value, limit)| value >= limit)
        }
        _ => Some(match collision {
            Collision::Cleanlab => standing.prediction(values, label),
            Collision::Paper => best_confident(values, limits).unwrap_or(label),
        }),
    }
}

fn best_confident<T: Value>(values: &[T], limits: &[T]) -> Option<usize> {
    let confident = values.iter().zip(limits).filter(|(value, limit)| value >= limit);
    let best = confident.map(|(value, _)| *value).fold(T::LOWEST, crate::kernel::larger);
    // A class that is just as probable may lie below a limit of its own.
    let first = position_of(values, best)?;
    let mut rest = values.iter().zip(limits).skip(first);
    rest.position(|(value, limit)| *value == best && value >= limit).map(|place| place + first)
}
