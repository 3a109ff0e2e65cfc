//! Probabilities of a frame, a column for each class, read row by row in the order of other records.

use std::ops::Range;

use engine::NodeError;
use label_issues::{Error, MISSING, Probabilities, Rows, Visitor};
use polars::prelude::*;

use crate::columns::{rows_by_id, string_column, strings};
use crate::proposals;

/// Cells that are turned from columns into rows at a time: few enough for a core's own cache.
const BLOCK_CELLS: usize = 1 << 15;

/// A column for each class, and which of its rows each record has.
pub(super) struct FrameProbabilities {
    pub names: Vec<String>,
    columns: Columns,
    rows: Places,
}

/// Columns of one piece each, without nulls.
enum Columns {
    Single(Vec<Float32Chunked>),
    Double(Vec<Float64Chunked>),
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

    fn of(&self, row: usize) -> usize {
        match self {
            Places::Same(_) => row,
            Places::Other(places) => places[row] as usize,
        }
    }
}

impl FrameProbabilities {
    pub fn new(frame: &DataFrame, ids: &StringChunked) -> Result<FrameProbabilities, NodeError> {
        let rows = Places::find(strings(frame, "record_id")?, ids)?;
        let columns = frame.columns().iter().filter(|column| column.name() != "record_id");
        let columns: Vec<Series> =
            columns.map(|column| column.as_materialized_series().rechunk()).collect();
        for series in &columns {
            let is_float = matches!(series.dtype(), DataType::Float32 | DataType::Float64);
            if series.null_count() > 0 || !is_float {
                let message = format!("column `{}` holds no probabilities", series.name());
                return Err(NodeError::input(message));
            }
        }
        let names = columns.iter().map(|series| series.name().to_string()).collect();
        let columns = if columns.iter().all(|series| *series.dtype() == DataType::Float32) {
            let all = columns.iter().map(|series| Ok(series.f32()?.clone()));
            Columns::Single(all.collect::<Result<_, NodeError>>()?)
        } else {
            let all =
                columns.iter().map(|series| Ok(series.cast(&DataType::Float64)?.f64()?.clone()));
            Columns::Double(all.collect::<Result<_, NodeError>>()?)
        };
        Ok(FrameProbabilities { names, columns, rows })
    }

    fn get(&self, row: usize, class: usize) -> Option<f64> {
        let row = self.rows.of(row);
        match &self.columns {
            Columns::Single(columns) => columns[class].get(row).map(f64::from),
            Columns::Double(columns) => columns[class].get(row),
        }
    }

    /// Columns with a class for each row, and its probability; null where there is none.
    pub fn proposals(&self, classes: &[u32]) -> [Column; 2] {
        let known = |class: u32| (class != MISSING).then_some(class as usize);
        let labels =
            classes.iter().map(|class| known(*class).map(|class| self.names[class].as_str()));
        let confidence = |(row, class): (usize, &u32)| self.get(row, known(*class)?);
        let confidences: Vec<Option<f64>> = classes.iter().enumerate().map(confidence).collect();
        [
            string_column(proposals::LABEL, labels),
            Column::new(proposals::CONFIDENCE.into(), confidences),
        ]
    }

    /// Hands out some rows of these columns, a block at a time.
    fn visit_columns<T: Copy + Default>(
        &self,
        columns: &[&[T]],
        rows: Range<usize>,
        hand_out: &mut dyn FnMut(&[T]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let width = columns.len();
        let block_rows = (BLOCK_CELLS / width.max(1)).max(1);
        let mut block = vec![T::default(); block_rows * width];
        for start in rows.clone().step_by(block_rows) {
            let rows = start..rows.end.min(start + block_rows);
            let block = &mut block[..rows.len() * width];
            for (class, values) in columns.iter().enumerate() {
                let cells = block.iter_mut().skip(class).step_by(width);
                match &self.rows {
                    Places::Same(_) => {
                        cells.zip(&values[rows.clone()]).for_each(|(cell, value)| *cell = *value);
                    }
                    Places::Other(places) => {
                        let places = &places[rows.clone()];
                        cells.zip(places).for_each(|(cell, at)| *cell = values[*at as usize]);
                    }
                }
            }
            hand_out(block)?;
        }
        Ok(())
    }
}

impl Probabilities for FrameProbabilities {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn classes(&self) -> usize {
        self.names.len()
    }

    fn visit(&self, rows: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        let broken = |error: PolarsError| Error::Source(Box::new(error));
        match &self.columns {
            Columns::Single(columns) => {
                let slices = columns.iter().map(ChunkedArray::cont_slice);
                let slices = slices.collect::<Result<Vec<_>, _>>().map_err(broken)?;
                self.visit_columns(&slices, rows, &mut |block| visitor(Rows::Single(block)))
            }
            Columns::Double(columns) => {
                let slices = columns.iter().map(ChunkedArray::cont_slice);
                let slices = slices.collect::<Result<Vec<_>, _>>().map_err(broken)?;
                self.visit_columns(&slices, rows, &mut |block| visitor(Rows::Double(block)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records `a`, `b` and `c` with two classes, the second in double precision if `double`.
    fn frame(double: bool) -> DataFrame {
        let second = Column::new("y".into(), [0.75_f32, 0.5, 0.25]);
        let second = if double { second.cast(&DataType::Float64).unwrap() } else { second };
        let ids = string_column("record_id", ["a", "b", "c"].map(Some));
        DataFrame::new(3, vec![ids, Column::new("x".into(), [0.25_f32, 0.5, 0.75]), second])
            .unwrap()
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
            let read = |names: &[&str]| FrameProbabilities::new(&frame(double), &ids(names));
            let same = read(&["a", "b", "c"]).unwrap();
            assert_eq!(rows(&same), [0.25, 0.75, 0.5, 0.5, 0.75, 0.25]);
            let other = read(&["c", "a"]).unwrap();
            assert_eq!(rows(&other), [0.75, 0.25, 0.25, 0.75]);
            let [labels, confidences] = other.proposals(&[1, MISSING]);
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
        let error = FrameProbabilities::new(&wrong, &ids(&["a"])).err().unwrap().to_string();
        assert!(error.contains("column `y` holds no probabilities"), "{error}");
    }
}
