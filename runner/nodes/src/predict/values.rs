//! Probabilities by class in the precision they came in: plugins give single, files may hold double.
//! Knows nothing of what classes are called.

use polars::prelude::*;

/// `[class][record]`; every class has as many records as the others.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Single(Vec<Vec<f32>>),
    Double(Vec<Vec<f64>>),
}

impl Values {
    /// A column for each class, in single precision unless `double`.
    pub fn collect<C>(columns: impl Iterator<Item = C>, double: bool) -> Values
    where
        C: Iterator<Item = f64>,
    {
        if double {
            Values::Double(columns.map(C::collect).collect())
        } else {
            let single = |column: C| column.map(|value| value as f32).collect();
            Values::Single(columns.map(single).collect())
        }
    }

    /// How many records there are.
    pub fn height(&self) -> usize {
        match self {
            Values::Single(values) => values.first().map_or(0, Vec::len),
            Values::Double(values) => values.first().map_or(0, Vec::len),
        }
    }

    pub fn is_double(&self) -> bool {
        matches!(self, Values::Double(_))
    }

    pub fn get(&self, class: usize, row: usize) -> f64 {
        match self {
            Values::Single(values) => f64::from(values[class][row]),
            Values::Double(values) => values[class][row],
        }
    }

    pub fn set(&mut self, class: usize, row: usize, value: f64) {
        match self {
            Values::Single(values) => values[class][row] = value as f32,
            Values::Double(values) => values[class][row] = value,
        }
    }

    /// Makes a probability as little larger as its precision has it.
    pub fn raise(&mut self, class: usize, row: usize) {
        match self {
            Values::Single(values) => values[class][row] = values[class][row].next_up(),
            Values::Double(values) => values[class][row] = values[class][row].next_up(),
        }
    }

    /// The probabilities of a class as a column.
    pub fn column(&self, class: usize, name: &str) -> Column {
        match self {
            Values::Single(values) => Column::new(name.into(), &values[class]),
            Values::Double(values) => Column::new(name.into(), &values[class]),
        }
    }

    /// One probability of some class for each record, as a column of this precision.
    pub fn chosen(&self, name: &str, classes: impl Iterator<Item = Option<usize>>) -> Column {
        let cells = classes.enumerate();
        let series = match self {
            Values::Single(values) => {
                let cell = |(row, class): (usize, Option<usize>)| Some(values[class?][row]);
                cells.map(cell).collect::<Float32Chunked>().into_series()
            }
            Values::Double(values) => {
                let cell = |(row, class): (usize, Option<usize>)| Some(values[class?][row]);
                cells.map(cell).collect::<Float64Chunked>().into_series()
            }
        };
        series.with_name(name.into()).into_column()
    }
}
