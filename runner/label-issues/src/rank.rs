//! The order in which rows are reviewed: ascending by score, equal scores by record.

use crate::Error;

/// What comes first of rows with equal scores.
#[derive(Clone, Copy, Debug, Default)]
pub enum TieBreak<'a> {
    /// The row that stands first. With it, the order of rows matters where scores are equal.
    #[default]
    RowNumber,
    /// The row with the lowest key: for each row, the place of its record id among all ids.
    Keys(&'a [u32]),
}

impl TieBreak<'_> {
    pub(crate) fn check(self, rows: usize) -> Result<(), Error> {
        match self {
            Self::Keys(keys) if keys.len() != rows => {
                Err(Error::TieKeys { rows, keys: keys.len() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn key(self, row: usize) -> u32 {
        match self {
            Self::RowNumber => 0,
            Self::Keys(keys) => keys.get(row).copied().unwrap_or(u32::MAX),
        }
    }
}

/// Returns the rows in order, the most suspicious first. Rows without a score are left out.
pub fn rank(scores: &[f64], ties: TieBreak<'_>) -> Result<Vec<u32>, Error> {
    let rows = scores.len();
    let rows = u32::try_from(rows).map_err(|_| Error::TooManyRows { rows })?;
    rank_rows((0..rows).collect(), scores, ties)
}

/// Sorts some rows (for example the flagged ones) as [`rank()`] does.
pub fn rank_rows(
    mut rows: Vec<u32>,
    scores: &[f64],
    ties: TieBreak<'_>,
) -> Result<Vec<u32>, Error> {
    ties.check(scores.len())?;
    if let Some(&row) = rows.iter().find(|row| **row as usize >= scores.len()) {
        return Err(Error::NoSuchRow { row, rows: scores.len() });
    }
    rows.retain(|&row| !scores[row as usize].is_nan());
    // Adding zero turns -0 into 0.
    let score = |row: u32| scores[row as usize] + 0.0;
    rows.sort_unstable_by(|&a, &b| {
        let scores = score(a).total_cmp(&score(b));
        scores.then_with(|| (ties.key(a as usize), a).cmp(&(ties.key(b as usize), b)))
    });
    Ok(rows)
}
