//! Probabilities of a frame, a column for each class, read row by row in the order of other records.

use std::ops::Range;

use engine::{Float, FloatColumn, Inputs, NodeError};
use label_issues::{Error, MISSING, Probabilities, Rows, Visitor};
use polars::prelude::*;

use crate::columns::{choice_column, rows_by_id, strings};
use crate::proposals;

/// Cells that are turned from columns into rows at a time: few enough for a core's own cache.
const BLOCK_CELLS: usize = 1 << 15;
/// The same where each column's part is a read of its own.
const READ_CELLS: usize = 1 << 19;

/// The port they come on, and the only column of it that is read as a whole.
const PORT: &str = "probabilities";
const ID: &str = "record_id";

/// A column for each class, and which of its rows each record has.
pub(super) struct FrameProbabilities {
    pub names: Vec<String>,
    columns: Vec<FloatColumn>,
    rows: Places,
}

/// Row of the frame for each record.
enum Places {
    /// The records are in the order of the frame.
    Same(usize),
    Other(Vec<u32>),
}

impl Places {
    fn find(own: &StringChunked, ids: &StringChunked) -> Result<Places, NodeError> {
        if own.len() == ids.len() && own.iter().zip(ids.iter()).all(|(own, id)| own == id) {
            return Ok(Places::Same(ids.len()));
        }
        let place = rows_by_id(own);
        let find = |id: Option<&str>| {
            let id = id.unwrap_or_default();
            let missing = || NodeError::input(format!("record `{id}` has no probabilities"));
            place.get(id).map(|row| *row as u32).ok_or_else(missing)
        };
        Ok(Places::Other(ids.iter().map(find).collect::<Result<_, NodeError>>()?))
    }

    fn len(&self) -> usize {
        match self {
            Places::Same(rows) => *rows,
            Places::Other(places) => places.len(),
        }
    }

    /// Reads what some records have of a column.
    fn read<T: Float>(
        &self,
        column: &FloatColumn,
        rows: Range<usize>,
        into: &mut [T],
    ) -> Result<(), Error> {
        let read = match self {
            Places::Same(_) => column.read(rows.start, into),
            Places::Other(places) => {
                column.gather(places[rows].iter().map(|at| *at as usize), into)
            }
        };
        read.map_err(|error| Error::Source(Box::new(error)))
    }
}

impl FrameProbabilities {
    /// The columns that are to be in memory (`Node::reads`).
    pub fn reads(port: &str) -> Option<Vec<String>> {
        (port == PORT).then(|| vec![ID.to_owned()])
    }

    /// Probabilities of these records. They stay in the cache if they are there and in this order.
    pub fn new(inputs: &Inputs, ids: &StringChunked) -> Result<FrameProbabilities, NodeError> {
        let frame = inputs.frame(PORT)?;
        let own = frame.columns().iter().filter(|column| column.name() != ID);
        let own = own.map(|column| (column.name().to_string(), FloatColumn::of(column)));
        let mut columns = Vec::new();
        for (name, column) in own.chain(inputs.floats(PORT)?) {
            let message = || NodeError::input(format!("column `{name}` holds no probabilities"));
            columns.push(column.ok_or_else(message)?);
        }
        let rows = Places::find(strings(frame, ID)?, ids)?;
        if matches!(rows, Places::Other(_)) {
            // Reading a number here and there would take longer than reading all.
            let columns_in_memory = columns.into_iter().map(FloatColumn::into_memory);
            columns = columns_in_memory.collect::<Result<_, _>>().map_err(unreadable)?;
        }
        let names = columns.iter().map(|column| column.name().to_owned()).collect();
        Ok(FrameProbabilities { names, columns, rows })
    }

    /// Columns with a class for each row, and its probability; null where there is none.
    pub fn proposals(&self, classes: &[u32]) -> Result<[Column; 2], NodeError> {
        let known = |class: u32| (class != MISSING).then_some(class as usize);
        let labels = classes.iter().map(|class| known(*class));
        let width = self.columns.len();
        let mut confidences: Vec<Option<f64>> = Vec::with_capacity(classes.len());
        let mut take = |rows: &[f64]| {
            for row in rows.chunks_exact(width) {
                confidences.push(known(classes[confidences.len()]).map(|class| row[class]));
            }
            Ok(())
        };
        self.visit_as(0..classes.len(), &mut take)
            .map_err(|error| NodeError::io(error.to_string()))?;
        Ok([
            choice_column(proposals::LABEL, &self.names, labels)?,
            Column::new(proposals::CONFIDENCE.into(), confidences),
        ])
    }

    /// Hands out some rows, a block at a time.
    fn visit_as<T: Float>(
        &self,
        rows: Range<usize>,
        hand_out: &mut dyn FnMut(&[T]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let width = self.columns.len().max(1);
        let in_memory = self.columns.iter().all(FloatColumn::is_in_memory);
        let cells = if in_memory { BLOCK_CELLS } else { READ_CELLS };
        let block_rows = (cells / width).clamp(1, rows.len().max(1));
        let mut block = vec![T::default(); block_rows * width];
        let mut column_block = vec![T::default(); block_rows];
        for start in rows.clone().step_by(block_rows) {
            let rows = start..rows.end.min(start + block_rows);
            let (values, block) =
                (&mut column_block[..rows.len()], &mut block[..rows.len() * width]);
            for (class, column) in self.columns.iter().enumerate() {
                self.rows.read(column, rows.clone(), values)?;
                let cells = block.iter_mut().skip(class).step_by(width);
                cells.zip(&*values).for_each(|(cell, value)| *cell = *value);
            }
            hand_out(block)?;
        }
        Ok(())
    }
}

fn unreadable(error: std::io::Error) -> NodeError {
    NodeError::io(format!("probabilities cannot be read: {error}"))
}

impl Probabilities for FrameProbabilities {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn classes(&self) -> usize {
        self.names.len()
    }

    fn visit(&self, rows: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        if self.columns.iter().all(FloatColumn::is_single) {
            self.visit_as(rows, &mut |block| visitor(Rows::Single(block)))
        } else {
            self.visit_as(rows, &mut |block| visitor(Rows::Double(block)))
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::Artifact;

    use super::*;
    use crate::columns::string_column;

    /// Records `a`, `b` and `c` with two classes, the second in double precision if `double`.
    fn frame(double: bool) -> DataFrame {
        let second = Column::new("y".into(), [0.75_f32, 0.5, 0.25]);
        let second = if double { second.cast(&DataType::Float64).unwrap() } else { second };
        let ids = string_column("record_id", ["a", "b", "c"].map(Some));
        DataFrame::new(3, vec![ids, Column::new("x".into(), [0.25_f32, 0.5, 0.75]), second])
            .unwrap()
    }

    fn inputs(frame: DataFrame) -> Inputs {
        Inputs::new(vec![(PORT, Artifact::Frame(frame))])
    }

    fn ids(names: &[&str]) -> StringChunked {
        let column = string_column("record_id", names.iter().map(|name| Some(*name)));
        column.str().unwrap().clone()
    }

    fn rows(probabilities: &FrameProbabilities) -> Vec<f64> {
        let mut all = Vec::new();
        let mut take = |rows: Rows<'_>| {
            match rows {
                Rows::Single(values) => all.extend(values.iter().map(|value| f64::from(*value))),
                Rows::Double(values) => all.extend_from_slice(values),
            }
            Ok(())
        };
        probabilities.visit(0..probabilities.rows(), &mut take).unwrap();
        all
    }

    #[test]
    fn rows_come_in_the_order_of_the_records() {
        for double in [false, true] {
            let read =
                |names: &[&str]| FrameProbabilities::new(&inputs(frame(double)), &ids(names));
            let same = read(&["a", "b", "c"]).unwrap();
            assert_eq!(rows(&same), [0.25, 0.75, 0.5, 0.5, 0.75, 0.25]);
            let other = read(&["c", "a"]).unwrap();
            assert_eq!(rows(&other), [0.75, 0.25, 0.25, 0.75]);
            let [labels, confidences] = other.proposals(&[1, MISSING]).unwrap();
            assert_eq!(labels.str().unwrap().iter().collect::<Vec<_>>(), [Some("y"), None]);
            assert_eq!(confidences.f64().unwrap().iter().collect::<Vec<_>>(), [Some(0.25), None]);
            let error = read(&["a", "d"]).err().unwrap().to_string();
            assert!(error.contains("record `d` has no probabilities"), "{error}");
        }
    }

    #[test]
    fn columns_that_are_no_probabilities_are_named() {
        let mut wrong = frame(false);
        wrong.with_column(Column::new("y".into(), [Some(0.5_f32), None, Some(0.5)])).unwrap();
        let error =
            FrameProbabilities::new(&inputs(wrong), &ids(&["a"])).err().unwrap().to_string();
        assert!(error.contains("column `y` holds no probabilities"), "{error}");
    }
}
