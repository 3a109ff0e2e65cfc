//! Probabilities that a user brings: a table with record_id and a column for each category, or an
//! NPY matrix in the order of the records. Knows nothing of classifiers and folds.
//!
//! Everything that could be mixed up is refused with its place: a record that is missing, unknown
//! or there twice, a category that is no category or has no column, a number that is no
//! probability. Rows whose sum is off by the rounding of a file (up to 1e-3) are divided by it.

use std::path::{Path, PathBuf};

use engine::{FactContext, NodeError};
use label_issues::{SUM_EXACT, SUM_TOLERANCE};
use plan::{Finding, Taxonomy};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::npy::{HEADER_BYTES, Header};
use super::scores::Scores;
use super::values::Values;
use crate::columns::{booleans, listed, rows_by_id, strings};
use crate::source::bytes::{Format, matching_files, read_bytes, read_start};
use crate::source::table;

/// Most records that an error lists.
const MOST_LISTED: usize = 10;

/// The categories of an NPY file's columns, or of a table's where these are not meant all.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Categories {
    Names(Vec<String>),
    /// A JSON file with a list of names.
    File(String),
}

/// A file with probabilities, and how it is to be read.
#[derive(Debug, Clone)]
pub(super) struct Brought {
    pub path: String,
    pub categories: Option<Categories>,
}

/// What was read.
pub(super) struct Reading {
    pub scores: Scores,
    /// Rows that were divided by their sum.
    pub renormalised: usize,
    /// Digest of the numbers' file.
    pub version: String,
}

enum Kind {
    Npy,
    Table(Format),
}

impl Brought {
    fn kind(&self, file: &Path) -> Result<Kind, NodeError> {
        if self.path.to_lowercase().ends_with(".npy") {
            return Ok(Kind::Npy);
        }
        Format::of(file, None).map(Kind::Table).map_err(|_| {
            NodeError::input(format!("the name `{}` does not say its format", self.path))
                .with_hint("name it .parquet, .csv or .npy")
        })
    }

    fn file(&self, base_dir: &Path) -> Result<PathBuf, NodeError> {
        let mut files = matching_files(base_dir, &self.path)?;
        match files.len() {
            1 => Ok(files.remove(0)),
            many => Err(NodeError::input(format!("`{}` stands for {many} files", self.path))
                .with_hint("name one file with the probabilities of all records")),
        }
    }

    /// The names in `categories`, if there are any.
    fn named(&self, base_dir: &Path) -> Result<Option<Vec<String>>, NodeError> {
        let names = match &self.categories {
            None => return Ok(None),
            Some(Categories::Names(names)) => names.clone(),
            Some(Categories::File(path)) => {
                let text = std::fs::read_to_string(base_dir.join(path))
                    .map_err(|error| NodeError::io(format!("cannot read `{path}`: {error}")))?;
                serde_json::from_str(&text).map_err(|error| {
                    NodeError::input(format!("`{path}` is no list of categories: {error}"))
                        .with_hint("write a JSON list such as [\"billing\", \"delivery\"]")
                })?
            }
        };
        Ok(Some(names))
    }

    /// What can be found wrong before anything runs: the file's columns against the taxonomy.
    pub fn check(&self, base_dir: &Path, taxonomy: Option<&Taxonomy>) -> Result<(), Finding> {
        let at = |pointer: &'static str| {
            move |error: NodeError| {
                let mut finding = Finding::param(pointer, error.to_string());
                finding.hint = error.hint().map(str::to_owned);
                finding
            }
        };
        let named = self.named(base_dir).map_err(at("/categories"))?;
        let file = self.file(base_dir).map_err(at("/probabilities"))?;
        let pointer = if named.is_some() { "/categories" } else { "/probabilities" };
        let names = match self.kind(&file).map_err(at("/probabilities"))? {
            Kind::Npy => {
                let start = read_start(&file, HEADER_BYTES).map_err(at("/probabilities"))?;
                let header = self.header(&start).map_err(at("/probabilities"))?;
                let names = self.npy_names(named).map_err(at("/probabilities"))?;
                self.check_width(&header, &names).map_err(at("/categories"))?;
                names
            }
            Kind::Table(format) => {
                let (found, open) = table::peek(&file, format).map_err(at("/probabilities"))?;
                let found: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
                match self.table_names(named, &found) {
                    Err(_) if open => return Ok(()),
                    names => names.map_err(at(pointer))?,
                }
            }
        };
        check_names(&names, taxonomy).map_err(at(pointer))
    }

    /// The content of the files counts, and which column is which.
    pub fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        context.file(&self.file(context.base_dir)?)?;
        match &self.categories {
            Some(Categories::File(path)) => {
                let path = context.base_dir.join(path);
                context.file(&path)?;
            }
            Some(Categories::Names(names)) => context.facts.add("categories", names.clone()),
            None => {}
        }
        Ok(())
    }

    fn header(&self, bytes: &[u8]) -> Result<Header, NodeError> {
        Header::read(bytes)
            .map_err(|error| NodeError::input(format!("`{}` cannot be used: {error}", self.path)))
    }

    fn npy_names(&self, named: Option<Vec<String>>) -> Result<Vec<String>, NodeError> {
        named.ok_or_else(|| {
            NodeError::input(format!("`{}` does not say which column is which category", self.path))
                .with_hint("add `categories: [...]` in the order of the columns, or a JSON file")
        })
    }

    fn check_width(&self, header: &Header, names: &[String]) -> Result<(), NodeError> {
        if header.columns == names.len() {
            return Ok(());
        }
        let (columns, count) = (header.columns, names.len());
        Err(NodeError::input(format!(
            "`{}` has {columns} columns for {count} categories",
            self.path
        )))
    }

    /// The columns of a table that hold probabilities.
    fn table_names(
        &self,
        named: Option<Vec<String>>,
        found: &[&str],
    ) -> Result<Vec<String>, NodeError> {
        if !found.contains(&"record_id") {
            return Err(NodeError::input(format!("`{}` has no column `record_id`", self.path))
                .with_hint(format!("columns there: `{}`", found.join("`, `"))));
        }
        let Some(named) = named else {
            let names = found.iter().filter(|name| **name != "record_id");
            return Ok(names.map(|name| (*name).to_owned()).collect());
        };
        match named.iter().find(|name| !found.contains(&name.as_str())) {
            None => Ok(named),
            Some(name) => Err(NodeError::input(format!("`{}` has no column `{name}`", self.path))
                .with_hint(format!("columns there: `{}`", found.join("`, `")))),
        }
    }

    /// Reads the probabilities of all records of `frame`.
    pub fn read(
        &self,
        base_dir: &Path,
        frame: &DataFrame,
        taxonomy: Option<&Taxonomy>,
    ) -> Result<Reading, NodeError> {
        let named = self.named(base_dir)?;
        let file = self.file(base_dir)?;
        let bytes = read_bytes(&file)?;
        let version = engine::Digest::of(&bytes).short();
        let matrix = match self.kind(&file)? {
            Kind::Npy => self.npy(&bytes, named, frame)?,
            Kind::Table(format) => self.table(&bytes, format, named, frame)?,
        };
        check_names(&matrix.names, taxonomy)?;
        self.check_labels(&matrix.names, frame, taxonomy)?;
        let (scores, renormalised) = self.scores(matrix, frame)?;
        Ok(Reading { scores, renormalised, version })
    }

    fn npy(
        &self,
        bytes: &[u8],
        named: Option<Vec<String>>,
        frame: &DataFrame,
    ) -> Result<Matrix, NodeError> {
        let header = self.header(bytes)?;
        let names = self.npy_names(named)?;
        self.check_width(&header, &names)?;
        if header.rows != frame.height() {
            let (rows, records) = (header.rows, frame.height());
            return Err(NodeError::input(format!(
                "`{}` has {rows} rows for {records} records",
                self.path
            ))
            .with_hint("an NPY file has one row for each record of the input, in its order"));
        }
        let values = header.values(bytes).map_err(|error| {
            NodeError::input(format!("`{}` cannot be used: {error}", self.path))
        })?;
        let column = |column| (0..header.rows).map(|row| values.get(row, column)).collect();
        let columns = (0..header.columns).map(column).collect();
        let (row_of_record, double) = ((0..header.rows).collect(), header.is_double());
        Ok(Matrix { names, columns, row_of_record, double })
    }

    fn table(
        &self,
        bytes: &[u8],
        format: Format,
        named: Option<Vec<String>>,
        frame: &DataFrame,
    ) -> Result<Matrix, NodeError> {
        let (read, bad) = table::read(bytes, format, &self.path)?;
        if let Some(row) = bad.first() {
            let (line, reason) = (row.line, &row.reason);
            return Err(NodeError::input(format!("{}:{line}: {reason}", self.path)));
        }
        let found: Vec<&str> = read.columns().iter().map(|column| column.name().as_str()).collect();
        let names = self.table_names(named, &found)?;
        let ids = read.column("record_id")?.cast(&DataType::String)?;
        let row_of_record = self.rows_by_id(ids.str()?, strings(frame, "record_id")?)?;
        let columns = names
            .iter()
            .map(|name| self.numbers(read.column(name)?, ids.str()?))
            .collect::<Result<_, NodeError>>()?;
        // Digits of a text are as many as somebody wrote: none of them is lost.
        let single = |name: &String| read.column(name).map(|c| *c.dtype() == DataType::Float32);
        let double = !names.iter().all(|name| single(name).unwrap_or(false));
        Ok(Matrix { names, columns, row_of_record, double })
    }

    /// A column as numbers; what is missing or no number is refused with its record.
    fn numbers(&self, column: &Column, ids: &StringChunked) -> Result<Vec<f64>, NodeError> {
        let name = column.name();
        let record = |row: usize| ids.get(row).unwrap_or_default().to_owned();
        let refuse = |row: usize, what: &str| {
            let id = record(row);
            let message = format!("record `{id}` of `{}`: `{name}` {what}", self.path);
            self.with_columns_hint(NodeError::input(message), "")
        };
        if let Ok(texts) = column.str() {
            let parsed = texts.iter().enumerate().map(|(row, text)| {
                let text = text.unwrap_or_default().trim();
                text.parse::<f64>().map_err(|_| refuse(row, &format!("is no number, but `{text}`")))
            });
            return parsed.collect();
        }
        if !column.dtype().is_primitive_numeric() {
            let message =
                format!("column `{name}` of `{}` is of type {}", self.path, column.dtype());
            return Err(
                self.with_columns_hint(NodeError::input(message), "probabilities are numbers")
            );
        }
        let cast = column.cast(&DataType::Float64)?;
        let values = cast.f64()?.iter().enumerate();
        values.map(|(row, value)| value.ok_or_else(|| refuse(row, "is empty"))).collect()
    }

    /// Adds a hint, and how to leave columns out where all of a table are taken for categories.
    fn with_columns_hint(&self, error: NodeError, hint: &str) -> NodeError {
        let columns = "`categories: [...]` leaves columns out that are none";
        match (hint, self.categories.is_none()) {
            ("", true) => error.with_hint(columns),
            ("", false) => error,
            (hint, true) => error.with_hint(format!("{hint}; {columns}")),
            (hint, false) => error.with_hint(hint),
        }
    }

    /// The row of each record; each must have exactly one.
    fn rows_by_id(
        &self,
        rows: &StringChunked,
        records: &StringChunked,
    ) -> Result<Vec<usize>, NodeError> {
        let places = rows_by_id(records);
        let mut found: Vec<Option<usize>> = vec![None; records.len()];
        let (mut unknown, mut twice) = (Vec::new(), Vec::new());
        for (row, id) in rows.iter().enumerate() {
            let Some(id) = id.filter(|id| !id.is_empty()) else {
                let message = format!("row {} of `{}` has no record_id", row + 1, self.path);
                return Err(NodeError::input(message));
            };
            match places.get(id) {
                None => unknown.push(id.to_owned()),
                Some(place) if found[*place].is_some() => twice.push(id.to_owned()),
                Some(place) => found[*place] = Some(row),
            }
        }
        let missing: Vec<String> = records
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(id, _)| id.unwrap_or_default().to_owned())
            .collect();
        let mut wrong = Vec::new();
        for (what, ids) in
            [("have no row", missing), ("are no records here", unknown), ("are there twice", twice)]
        {
            if !ids.is_empty() {
                wrong.push(format!("{} {what}: {}", ids.len(), listed(&ids, MOST_LISTED)));
            }
        }
        if !wrong.is_empty() {
            let message = format!("record ids in `{}`: {}", self.path, wrong.join("; "));
            return Err(NodeError::input(message)
                .with_hint("the file needs one row for each record of the input, and no other"));
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Every label that could be right needs a probability.
    fn check_labels(
        &self,
        names: &[String],
        frame: &DataFrame,
        taxonomy: Option<&Taxonomy>,
    ) -> Result<(), NodeError> {
        let valid = booleans(frame, "text_valid").ok();
        let labels = strings(frame, "label")?.iter().zip(strings(frame, "record_id")?.iter());
        for (row, (label, id)) in labels.enumerate() {
            let usable = valid.is_none_or(|valid| valid.get(row) == Some(true));
            let Some(label) = label.filter(|_| usable) else { continue };
            let approved = taxonomy.is_none_or(|taxonomy| taxonomy.contains(label));
            if approved && !names.iter().any(|name| name == label) {
                let id = id.unwrap_or_default();
                let message =
                    format!("record `{id}` has label `{label}`, which `{}` lacks", self.path);
                return Err(NodeError::input(message)
                    .with_hint(format!("categories there: {}", listed(names, MOST_LISTED))));
            }
        }
        Ok(())
    }

    /// Probabilities by category in the order of names, checked and with sums of 1.
    fn scores(&self, matrix: Matrix, frame: &DataFrame) -> Result<(Scores, usize), NodeError> {
        let Matrix { names, columns, row_of_record, double } = matrix;
        let ids = strings(frame, "record_id")?;
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_unstable_by(|a, b| names[*a].cmp(&names[*b]));
        let mut divisors = Vec::with_capacity(row_of_record.len());
        let mut renormalised = 0;
        for (record, row) in row_of_record.iter().enumerate() {
            let place = || {
                let id = ids.get(record).unwrap_or_default();
                format!("record `{id}` (row {} of `{}`)", row + 1, self.path)
            };
            let mut sum = 0.0;
            for class in &order {
                let p = columns[*class][*row];
                if !p.is_finite() || p < 0.0 {
                    let name = &names[*class];
                    let message = format!("{}: the probability of `{name}` is {p}", place());
                    return Err(self.with_columns_hint(NodeError::input(message), ""));
                }
                sum += p;
            }
            let off = (sum - 1.0).abs();
            if off > SUM_TOLERANCE {
                let message = format!("{}: the probabilities sum to {sum}, not to 1", place());
                let hint = "probabilities are needed, such as a softmax of scores";
                return Err(self.with_columns_hint(NodeError::input(message), hint));
            }
            let divisor = if off > SUM_EXACT { sum } else { 1.0 };
            renormalised += usize::from(off > SUM_EXACT);
            divisors.push(divisor);
        }
        let column = |class: &usize| {
            let column = &columns[*class];
            row_of_record.iter().zip(&divisors).map(|(row, divisor)| column[*row] / divisor)
        };
        let values = Values::collect(order.iter().map(column), double);
        let names = order.into_iter().map(|class| names[class].clone()).collect();
        Ok((Scores { names, values }, renormalised))
    }
}

/// A file's numbers: `columns[category][row]`, and the row of each record.
struct Matrix {
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
    row_of_record: Vec<usize>,
    /// Whether the file has more than single precision.
    double: bool,
}

/// Categories are two or more, each once, and of the taxonomy where there is one.
fn check_names(names: &[String], taxonomy: Option<&Taxonomy>) -> Result<(), NodeError> {
    if names.len() < 2 {
        let message = format!("{} categories; two or more are needed", names.len());
        return Err(NodeError::input(message));
    }
    for (n, name) in names.iter().enumerate() {
        if names[..n].contains(name) {
            return Err(NodeError::input(format!("category `{name}` is there twice")));
        }
        if let Some(taxonomy) = taxonomy.filter(|taxonomy| !taxonomy.contains(name)) {
            let error = NodeError::input(format!("`{name}` is no category of the taxonomy"));
            return Err(match taxonomy.nearest(name) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint("`categories: [...]` leaves other columns out"),
            });
        }
    }
    Ok(())
}
