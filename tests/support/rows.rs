//! Rows of a frame as `relabel show --as json` prints them.

use std::collections::BTreeSet;

use serde_json::Value;

/// A cell as text; nothing for one that is none.
pub fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

/// The record ids of all rows.
pub fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| text(row, "record_id").to_owned()).collect()
}

/// The row of an `estimate` with this measure.
pub fn measure<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    rows.iter().find(|row| row["measure"] == name).unwrap_or_else(|| panic!("{name} in {rows:?}"))
}
