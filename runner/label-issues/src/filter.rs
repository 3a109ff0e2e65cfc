//! The seven filters: which rows look mislabelled.

use crate::dataset::label_of;
use crate::evidence::{Evidence, Marks};
use crate::kernel::{Standing, Value};
use crate::probabilities::{At, RowVisitor};
use crate::prune::prune_count_matrix;
use crate::rank::TieBreak;
use crate::rounding::check_joint;
use crate::scores::normalized_margin;
use crate::selection::Selection;
use crate::{Error, SquareMatrix};

/// The filters, under cleanlab's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilterBy {
    /// For each pair of classes, the rows with the largest margin, as many as the joint says.
    #[default]
    PruneByNoiseRate,
    /// For each given class, its least probable rows, as many as the joint says.
    PruneByClass,
    /// What both of the above flag.
    Both,
    /// The rows off the diagonal of the confident joint.
    ConfidentLearning,
    /// The rows whose most probable class is not the given one.
    PredictedNeqGiven,
    /// The rows with the lowest probability of their class, as many as lie off the diagonal.
    LowSelfConfidence,
    /// The rows with the lowest normalized margin, as many as lie off the diagonal.
    LowNormalizedMargin,
}

impl FilterBy {
    pub const ALL: [Self; 7] = [
        Self::PruneByNoiseRate,
        Self::PruneByClass,
        Self::Both,
        Self::ConfidentLearning,
        Self::PredictedNeqGiven,
        Self::LowSelfConfidence,
        Self::LowNormalizedMargin,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PruneByNoiseRate => "prune_by_noise_rate",
            Self::PruneByClass => "prune_by_class",
            Self::Both => "both",
            Self::ConfidentLearning => "confident_learning",
            Self::PredictedNeqGiven => "predicted_neq_given",
            Self::LowSelfConfidence => "low_self_confidence",
            Self::LowNormalizedMargin => "low_normalized_margin",
        }
    }
}

impl std::str::FromStr for FilterBy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownName { what: "filter", name: name.to_owned() };
        Self::ALL.into_iter().find(|one| one.as_str() == name).ok_or_else(unknown)
    }
}

/// The parameters of a filter, under cleanlab's names.
#[derive(Clone, Copy, Debug)]
pub struct FilterOptions<'o> {
    pub filter_by: FilterBy,
    /// The part of the estimated noise that the pruning filters flag, between 0 and 1.
    pub frac_noise: f64,
    /// How many rows of each class the pruning filters leave.
    pub min_examples_per_class: u64,
    /// A joint for the pruning filters, taken as it is, instead of the calibrated one of the data.
    pub confident_joint: Option<&'o SquareMatrix<u64>>,
    /// How many rows of each given class the pruning filters should flag.
    pub num_to_remove_per_class: Option<&'o [u64]>,
    /// Which of several rows with equal values is flagged first.
    pub ties: TieBreak<'o>,
}

impl Default for FilterOptions<'_> {
    fn default() -> Self {
        Self {
            filter_by: FilterBy::default(),
            frac_noise: 1.0,
            min_examples_per_class: 1,
            confident_joint: None,
            num_to_remove_per_class: None,
            ties: TieBreak::RowNumber,
        }
    }
}

impl Evidence<'_> {
    /// Flags the rows that look mislabelled. At most one pass; rows without a label never are.
    pub fn find_label_issues(&self, options: &FilterOptions<'_>) -> Result<Vec<bool>, Error> {
        options.ties.check(self.dataset.rows())?;
        let marked = |test: fn(Marks) -> bool| self.marks().iter().map(|m| test(*m)).collect();
        match options.filter_by {
            FilterBy::ConfidentLearning => Ok(marked(Marks::is_off_diagonal)),
            FilterBy::PredictedNeqGiven => Ok(marked(Marks::is_disagreement)),
            FilterBy::PruneByNoiseRate => self.prune(options, true, false),
            FilterBy::PruneByClass => self.prune(options, false, true),
            FilterBy::Both => self.prune(options, true, true),
            FilterBy::LowSelfConfidence => self.lowest(options, |standing| standing.given.double()),
            FilterBy::LowNormalizedMargin => self.lowest(options, |standing| {
                normalized_margin(standing.given.double(), standing.other().double())
            }),
        }
    }

    fn prune_counts(&self, options: &FilterOptions<'_>) -> Result<SquareMatrix<i64>, Error> {
        let class_counts = self.dataset.class_counts();
        match options.confident_joint {
            None => prune_count_matrix(&self.calibrated_joint()?, class_counts, options),
            Some(joint) => {
                let (expected, found) = (class_counts.len(), joint.classes());
                if expected != found {
                    return Err(Error::JointClasses { expected, found });
                }
                check_joint(joint, class_counts)?;
                check_rows(joint, class_counts)?;
                prune_count_matrix(joint, class_counts, options)
            }
        }
    }

    /// Returns the number of rows of a class that may be pruned: none or all.
    fn prunable(&self, class: usize, options: &FilterOptions<'_>) -> u64 {
        let rows = self.dataset.class_counts()[class];
        if rows > options.min_examples_per_class && rows > 1 { rows } else { 0 }
    }

    fn class_selections(
        &self,
        counts: &SquareMatrix<i64>,
        options: &FilterOptions<'_>,
    ) -> Vec<Selection> {
        let kept = counts.diagonal().enumerate();
        let capacity = |(class, kept): (usize, i64)| {
            let rows = self.prunable(class, options);
            // Negative counts come from a joint that was brought; they prune all.
            rows.saturating_sub(u64::try_from(kept).unwrap_or(0)) as usize
        };
        kept.map(|kept| Selection::new(capacity(kept))).collect()
    }

    fn noise_rate_selections(
        &self,
        counts: &SquareMatrix<i64>,
        options: &FilterOptions<'_>,
    ) -> Result<NoiseRateSelections, Error> {
        let classes = self.dataset.classes();
        let mut bounds = SquareMatrix::filled(classes, f64::NEG_INFINITY)?;
        let mut places = SquareMatrix::filled(classes, u32::MAX)?;
        let mut selections = Vec::new();
        for given in 0..classes {
            let rows = self.prunable(given, options);
            for other in (0..classes).filter(|other| *other != given) {
                let wanted = u64::try_from(counts[(other, given)]).unwrap_or(0).min(rows);
                if wanted == 0 {
                    continue;
                }
                let place = u32::try_from(selections.len());
                places[(given, other)] = place.map_err(|_| Error::TooManyClasses { classes })?;
                bounds[(given, other)] = f64::INFINITY;
                selections.push(Selection::new(wanted as usize));
            }
        }
        let active = bounds.rows().map(|row| row.iter().any(|bound| *bound > 0.0)).collect();
        Ok(NoiseRateSelections { bounds, places, selections, active })
    }

    fn prune(
        &self,
        options: &FilterOptions<'_>,
        by_noise_rate: bool,
        by_class: bool,
    ) -> Result<Vec<bool>, Error> {
        let counts = self.prune_counts(options)?;
        let empty = Pruning {
            labels: self.dataset.labels,
            ties: options.ties,
            by_class: by_class.then(|| self.class_selections(&counts, options)),
            by_noise_rate: match by_noise_rate {
                true => Some(self.noise_rate_selections(&counts, options)?),
                false => None,
            },
        };
        let mut pieces = self.dataset.visitors(|| empty.clone());
        self.dataset.pass(&mut pieces)?;
        let all = pieces.into_iter().reduce(Pruning::join).unwrap_or(empty);
        let by_class = all.by_class.map(|selections| self.flags(selections));
        let by_rate = all.by_noise_rate.map(|rates| self.flags(rates.selections));
        let mut flags = by_class.or_else(|| by_rate.clone()).unwrap_or_default();
        if let Some(by_rate) = by_rate {
            flags.iter_mut().zip(by_rate).for_each(|(flag, other)| *flag &= other);
        }
        for (flag, marks) in flags.iter_mut().zip(self.marks()) {
            *flag &= !marks.is_close();
        }
        Ok(flags)
    }

    fn lowest(
        &self,
        options: &FilterOptions<'_>,
        score: fn(Standing<f64>) -> f64,
    ) -> Result<Vec<bool>, Error> {
        let wanted = self.marks().iter().filter(|marks| marks.is_off_diagonal()).count();
        let (labels, ties) = (self.dataset.labels, options.ties);
        let empty = || Lowest { labels, ties, score, selection: Selection::new(wanted) };
        let mut pieces = self.dataset.visitors(empty);
        self.dataset.pass(&mut pieces)?;
        let selections = pieces.into_iter().map(|piece| piece.selection);
        Ok(self.flags(selections.reduce(Selection::join)))
    }

    fn flags(&self, selections: impl IntoIterator<Item = Selection>) -> Vec<bool> {
        let mut flags = vec![false; self.dataset.rows()];
        for row in selections.into_iter().flat_map(Selection::into_rows) {
            flags[row] = true;
        }
        flags
    }
}

/// Refuses a joint that was brought when it wants more rows than there are: all of them would have
/// to be remembered once for each class.
fn check_rows(joint: &SquareMatrix<u64>, class_counts: &[u64]) -> Result<(), Error> {
    for (given, (row, &rows)) in joint.rows().zip(class_counts).enumerate() {
        let count = row.iter().fold(0_u64, |sum, count| sum.saturating_add(*count)) - row[given];
        if count > rows {
            return Err(Error::JointRow { given, count, rows });
        }
    }
    Ok(())
}

/// Selects rows for the pruning filters.
#[derive(Clone)]
struct Pruning<'a> {
    labels: &'a [u32],
    ties: TieBreak<'a>,
    /// By given class, the rows with the lowest probability of it.
    by_class: Option<Vec<Selection>>,
    by_noise_rate: Option<NoiseRateSelections>,
}

/// By given (row) and other (column) class, the rows with the largest margin of the other one.
#[derive(Clone)]
struct NoiseRateSelections {
    /// The bounds of the selections, side by side for the inner loop; minus infinity for none.
    bounds: SquareMatrix<f64>,
    places: SquareMatrix<u32>,
    selections: Vec<Selection>,
    /// By given class, whether it has a selection.
    active: Vec<bool>,
}

impl Pruning<'_> {
    /// What both have selected, of the rows of both.
    fn join(mut self, other: Self) -> Self {
        let join = |into: &mut Vec<Selection>, more: Vec<Selection>| {
            *into = std::mem::take(into).into_iter().zip(more).map(|(a, b)| a.join(b)).collect();
        };
        if let (Some(into), Some(more)) = (&mut self.by_class, other.by_class) {
            join(into, more);
        }
        if let (Some(into), Some(more)) = (&mut self.by_noise_rate, other.by_noise_rate) {
            join(&mut into.selections, more.selections);
        }
        self
    }
}

impl RowVisitor for Pruning<'_> {
    fn row<T: Value>(&mut self, At { row, .. }: At, values: &[T]) -> Result<(), Error> {
        let Some(label) = label_of(self.labels, row) else {
            return Ok(());
        };
        if let Some(selections) = &mut self.by_class {
            selections[label].offer(values[label].double(), row, self.ties);
        }
        if let Some(rates) = &mut self.by_noise_rate
            && rates.active[label]
        {
            rates.offer(label, values, row, self.ties);
        }
        Ok(())
    }
}

impl NoiseRateSelections {
    const STEP: usize = 16;

    fn offer<T: Value>(&mut self, label: usize, values: &[T], row: usize, ties: TieBreak<'_>) {
        let given = values[label].double();
        let classes = values.len();
        for start in (0..classes).step_by(Self::STEP) {
            let end = classes.min(start + Self::STEP);
            let bounds = &self.bounds.cells()[label * classes + start..label * classes + end];
            // Few rows get in once the selections are full, so ask for many classes at once.
            let lower = values[start..end].iter().zip(bounds);
            let any = lower.fold(false, |any, (v, bound)| any | (given - v.double() <= *bound));
            if any {
                self.offer_some(label, values, start..end, row, ties);
            }
        }
    }

    fn offer_some<T: Value>(
        &mut self,
        label: usize,
        values: &[T],
        others: std::ops::Range<usize>,
        row: usize,
        ties: TieBreak<'_>,
    ) {
        for other in others {
            // The lowest of these is the largest margin.
            let value = values[label].double() - values[other].double();
            let place = self.places[(label, other)] as usize;
            if value <= self.bounds[(label, other)]
                && let Some(selection) = self.selections.get_mut(place)
            {
                selection.offer(value, row, ties);
                self.bounds[(label, other)] = selection.bound();
            }
        }
    }
}

/// Selects the rows with the lowest score.
struct Lowest<'a> {
    labels: &'a [u32],
    ties: TieBreak<'a>,
    score: fn(Standing<f64>) -> f64,
    selection: Selection,
}

impl RowVisitor for Lowest<'_> {
    fn row<T: Value>(&mut self, At { row, .. }: At, values: &[T]) -> Result<(), Error> {
        if let Some(label) = label_of(self.labels, row) {
            let score = (self.score)(Standing::new(values, label).double());
            if score <= self.selection.bound() {
                self.selection.offer(score, row, self.ties);
            }
        }
        Ok(())
    }
}
