//! What a classifier is given of a frame: the texts, and the further columns a pipeline names.

use engine::NodeError;
use engine::classifier::{FurtherColumn, FurtherValues, Texts};
use plan::{ColumnType, Schema};
use polars::prelude::*;

use crate::columns::{floats, strings};

/// Columns that hold an answer, or that no other record shares: no model may learn from them.
const NEVER: [&str; 7] = [
    "record_id",
    "text",
    "label",
    "original_label",
    "given_label",
    "predicted_label",
    "true_label",
];

/// Why a plugin cannot be given this column, and what to do; `before` are those named before it.
pub(crate) fn unfit(column: &str, before: &[String], records: &Schema) -> Option<(String, String)> {
    if NEVER.contains(&column) {
        let message = format!("column `{column}` is not for a classifier to learn from");
        return Some((message, "name columns that are known of every new record".to_owned()));
    }
    if before.iter().any(|other| other == column) {
        return Some((format!("column `{column}` is named twice"), "name it once".to_owned()));
    }
    if column.contains('\0') {
        return Some(("a column's name holds a NUL".to_owned(), "rename the column".to_owned()));
    }
    let Some(found) = records.get(column) else {
        if records.open {
            return None;
        }
        let known: Vec<&str> = records.names().filter(|name| !NEVER.contains(name)).collect();
        let hint = match plan::did_you_mean(column, known.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if known.is_empty() => "they have no column beside the text".to_owned(),
            None => format!("they have: `{}`", known.join("`, `")),
        };
        return Some((format!("the records have no column `{column}`"), hint));
    };
    let fits = matches!(
        found,
        ColumnType::String | ColumnType::Integer | ColumnType::Float | ColumnType::Boolean
    );
    let message = || format!("column `{column}` is neither words nor numbers");
    (!fits).then(|| (message(), "make it a string or a number first".to_owned()))
}

/// The texts of a frame with these columns; a null is an empty word or NaN.
pub(crate) fn texts_of(frame: &DataFrame, columns: &[String]) -> Result<Texts, NodeError> {
    let texts = Texts::from_strs(strings(frame, "text")?.iter());
    let further = columns.iter().map(|name| further_column(frame, name));
    Ok(texts.with_columns(further.collect::<Result<_, _>>()?))
}

fn further_column(frame: &DataFrame, name: &str) -> Result<FurtherColumn, NodeError> {
    let column = frame.column(name).map_err(|_| {
        NodeError::input(format!("the records have no column `{name}`, which the classifier reads"))
            .with_hint("add it to them, or leave it out of the classifier's `columns`")
    })?;
    let values = match column.dtype() {
        DataType::String | DataType::Boolean => {
            let words = column.cast(&DataType::String)?;
            FurtherValues::Words(Texts::from_strs(words.str()?.iter()))
        }
        _ => FurtherValues::Numbers(floats(frame, name)?),
    };
    Ok(FurtherColumn { name: name.to_owned(), values })
}
