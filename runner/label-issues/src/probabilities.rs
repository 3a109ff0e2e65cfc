//! Where probabilities come from: blocks of whole rows, in order, as often as a pass needs them.

use std::ops::Range;

use crate::Error;
use crate::kernel::Value;

/// What a source calls with each block.
pub type Visitor<'v> = dyn FnMut(Rows<'_>) -> Result<(), Error> + 'v;

/// A table of out-of-fold probabilities, rows x classes, that can be read any number of times, and
/// by several threads at once.
pub trait Probabilities: Sync {
    fn rows(&self) -> usize;

    fn classes(&self) -> usize;

    /// Calls `visitor` with consecutive blocks of whole rows, from the first of `rows` to the last.
    ///
    /// Blocks may be of any size, and of another size the next time; the rows must be the same
    /// each time. An error of the visitor ends the visit and is returned. A source that fails
    /// itself returns [`Error::Source`].
    fn visit(&self, rows: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error>;
}

/// A block of whole rows, row after row.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    Single(&'a [f32]),
    Double(&'a [f64]),
}

impl<'a> From<&'a [f32]> for Rows<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::Single(values)
    }
}

impl<'a> From<&'a [f64]> for Rows<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::Double(values)
    }
}

impl<'a> Rows<'a> {
    fn len(self) -> usize {
        match self {
            Self::Single(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        match self {
            Self::Single(values) => {
                let (head, tail) = values.split_at(middle);
                (Self::Single(head), Self::Single(tail))
            }
            Self::Double(values) => {
                let (head, tail) = values.split_at(middle);
                (Self::Double(head), Self::Double(tail))
            }
        }
    }
}

/// A view of probabilities that lie in memory (or are mapped into it).
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    values: Rows<'a>,
    rows: usize,
    classes: usize,
    batch_rows: usize,
}

impl<'a> Dense<'a> {
    /// Views `values` (`&[f32]` or `&[f64]`) as rows of `classes` probabilities.
    pub fn new(values: impl Into<Rows<'a>>, classes: usize) -> Result<Self, Error> {
        let values = values.into();
        if classes < 2 {
            return Err(Error::TooFewClasses { classes });
        }
        if !values.len().is_multiple_of(classes) {
            return Err(Error::Ragged { values: values.len(), classes });
        }
        let rows = values.len() / classes;
        Ok(Self { values, rows, classes, batch_rows: rows.max(1) })
    }

    /// Hands the rows out in blocks of this many; no answer depends on it.
    pub fn with_batch_rows(self, batch_rows: usize) -> Self {
        Self { batch_rows: batch_rows.max(1), ..self }
    }
}

impl Probabilities for Dense<'_> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn visit(&self, rows: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        let batch = self.batch_rows.saturating_mul(self.classes);
        let (upto, _) = self.values.split_at(rows.end.min(self.rows) * self.classes);
        let (_, mut rest) = upto.split_at(rows.start.saturating_mul(self.classes).min(upto.len()));
        while rest.len() > 0 {
            let (head, tail) = rest.split_at(batch.min(rest.len()));
            visitor(head)?;
            rest = tail;
        }
        Ok(())
    }
}

/// Sees one row after another, in either precision.
pub(crate) trait RowVisitor {
    fn row<T: Value>(&mut self, at: At, values: &[T]) -> Result<(), Error>;
}

/// Which row it is.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// Among all rows.
    pub row: usize,
    /// Among those that its visitor sees.
    pub nth: usize,
}

/// Reads some rows once. A source that breaks its promise about shapes is refused here, so that a
/// visitor may rely on them: each row has as many values as there are classes, and there are
/// exactly as many `rows`.
pub(crate) fn read<V: RowVisitor>(
    source: &dyn Probabilities,
    rows: Range<usize>,
    visitor: &mut V,
) -> Result<(), Error> {
    let (promised, classes) = (rows.end, source.classes());
    let first = rows.start;
    let mut found = first;
    source.visit(rows, &mut |block| {
        if classes == 0 || !block.len().is_multiple_of(classes) {
            return Err(Error::Ragged { values: block.len(), classes });
        }
        let start = found;
        found += block.len() / classes;
        if found > promised {
            return Err(Error::RowCount { found, promised });
        }
        match block {
            Rows::Single(values) => each_row(visitor, first, start, values, classes),
            Rows::Double(values) => each_row(visitor, first, start, values, classes),
        }
    })?;
    if found == promised { Ok(()) } else { Err(Error::RowCount { found, promised }) }
}

fn each_row<V: RowVisitor, T: Value>(
    visitor: &mut V,
    first: usize,
    start: usize,
    values: &[T],
    classes: usize,
) -> Result<(), Error> {
    for (row, values) in (start..).zip(values.chunks_exact(classes)) {
        visitor.row(At { row, nth: row - first }, values)?;
    }
    Ok(())
}

/// Reads all rows once, in pieces of `length` rows: the first by the first visitor and so on, each
/// on a thread of its own. The error that is returned is that of the first row that has one.
pub(crate) fn read_pieces<V: RowVisitor + Send>(
    source: &dyn Probabilities,
    length: usize,
    visitors: &mut [V],
) -> Result<(), Error> {
    let rows = source.rows();
    let work = |(nth, visitor): (usize, &mut V)| {
        let start = rows.min(nth * length);
        read(source, start..rows.min(start + length), visitor)
    };
    let mut pieces = visitors.iter_mut().enumerate();
    let Some(first) = pieces.next() else {
        return Ok(());
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = pieces.map(|piece| scope.spawn(|| work(piece))).collect();
        let mut outcome = work(first);
        for other in others {
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            outcome = outcome.and(other);
        }
        outcome
    })
}
