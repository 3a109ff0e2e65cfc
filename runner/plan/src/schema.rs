//! What a frame on an edge looks like, as far as it is known before anything runs.

use std::fmt;

/// The types that matter for a check; finer widths are the frame library's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    String,
    Integer,
    Float,
    Boolean,
    Date,
    Datetime,
    /// A type that no node kind computes with; it is carried along.
    Other,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnType::String => "string",
            ColumnType::Integer => "integer",
            ColumnType::Float => "float",
            ColumnType::Boolean => "boolean",
            ColumnType::Date => "date",
            ColumnType::Datetime => "datetime",
            ColumnType::Other => "other",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
}

/// Columns of a frame, in order, with what else is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    pub columns: Vec<Column>,
    /// Number of folds, once a `kfold` has put them in.
    pub folds: Option<u32>,
    /// More columns may come with the data, such as one per category found there.
    pub open: bool,
}

impl Schema {
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, ColumnType)>) -> Schema {
        let columns = columns
            .into_iter()
            .map(|(name, column_type)| Column { name: name.to_owned(), column_type })
            .collect();
        Schema { columns, folds: None, open: false }
    }

    pub fn get(&self, name: &str) -> Option<ColumnType> {
        self.columns.iter().find(|column| column.name == name).map(|column| column.column_type)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Sets a column in its place, or appends it.
    pub fn set(&mut self, name: &str, column_type: ColumnType) {
        match self.columns.iter_mut().find(|column| column.name == name) {
            Some(column) => column.column_type = column_type,
            None => self.columns.push(Column { name: name.to_owned(), column_type }),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.columns.retain(|column| column.name != name);
    }
}

/// What flows out of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortType {
    Frame(Schema),
    /// A trained classifier as one blob.
    Model,
}

impl PortType {
    pub fn noun(&self) -> &'static str {
        match self {
            PortType::Frame(_) => "frame",
            PortType::Model => "model",
        }
    }

    pub fn schema(&self) -> Option<&Schema> {
        match self {
            PortType::Frame(schema) => Some(schema),
            PortType::Model => None,
        }
    }
}
