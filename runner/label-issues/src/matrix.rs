//! A square matrix over classes, stored row by row.

use crate::Error;

/// A classes x classes matrix. For a joint, rows are given classes and columns true ones.
#[derive(Clone, Debug, PartialEq)]
pub struct SquareMatrix<T> {
    classes: usize,
    cells: Vec<T>,
}

impl<T: Copy> SquareMatrix<T> {
    /// Returns a matrix filled with one value, or an error when memory cannot hold it.
    pub fn filled(classes: usize, value: T) -> Result<Self, Error> {
        let too_many = || Error::TooManyClasses { classes };
        let length = classes.checked_mul(classes).ok_or_else(too_many)?;
        let mut cells = Vec::new();
        cells.try_reserve_exact(length).map_err(|_| too_many())?;
        cells.resize(length, value);
        Ok(Self { classes, cells })
    }

    /// Returns the matrix with these cells, row after row.
    pub fn from_cells(classes: usize, cells: Vec<T>) -> Result<Self, Error> {
        let expected = classes.checked_mul(classes).ok_or(Error::TooManyClasses { classes })?;
        if cells.len() != expected {
            return Err(Error::MatrixShape { classes, expected, found: cells.len() });
        }
        Ok(Self { classes, cells })
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns all cells, row after row.
    pub fn cells(&self) -> &[T] {
        &self.cells
    }

    pub(crate) fn cells_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.cells.iter_mut()
    }

    /// Returns one cell, or `None` outside of the matrix.
    pub fn get(&self, row: usize, column: usize) -> Option<T> {
        if row < self.classes && column < self.classes {
            self.cells.get(row * self.classes + column).copied()
        } else {
            None
        }
    }

    /// Returns the rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        // A matrix of no classes has no cells, so any chunk size above zero will do for it.
        self.cells.chunks_exact(self.classes.max(1))
    }

    pub(crate) fn rows_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [T]> {
        self.cells.chunks_exact_mut(self.classes.max(1))
    }

    pub(crate) fn transposed(&self) -> Self {
        let mut cells = Vec::with_capacity(self.cells.len());
        for column in 0..self.classes {
            cells.extend(self.rows().map(|row| row[column]));
        }
        Self { classes: self.classes, cells }
    }

    pub(crate) fn map<U: Copy>(&self, change: impl FnMut(T) -> U) -> SquareMatrix<U> {
        SquareMatrix {
            classes: self.classes,
            cells: self.cells.iter().copied().map(change).collect(),
        }
    }

    pub(crate) fn diagonal(&self) -> impl Iterator<Item = T> {
        self.rows().enumerate().map(|(index, row)| row[index])
    }
}

impl<T: Copy> std::ops::Index<(usize, usize)> for SquareMatrix<T> {
    type Output = T;

    /// Returns the cell at (row, column). Like a slice, it panics outside of the matrix.
    fn index(&self, (row, column): (usize, usize)) -> &T {
        assert!(column < self.classes, "column {column} of {} classes", self.classes);
        &self.cells[row * self.classes + column]
    }
}

impl<T: Copy> std::ops::IndexMut<(usize, usize)> for SquareMatrix<T> {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut T {
        assert!(column < self.classes, "column {column} of {} classes", self.classes);
        &mut self.cells[row * self.classes + column]
    }
}
