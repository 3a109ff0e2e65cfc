//! The classes of an audit, and which records may be learnt from.
//! Knows nothing of classifiers.

use engine::NodeError;
use plan::Taxonomy;
use polars::prelude::DataFrame;

use crate::columns::{booleans, distinct, strings};

/// The classes of an audit, sorted by name, and the class of each usable record.
pub(crate) struct Classes {
    pub names: Vec<String>,
    /// Class index of each record, `None` for one that nothing is learnt from.
    pub of_record: Vec<Option<u32>>,
}

impl Classes {
    pub fn find(frame: &DataFrame, taxonomy: Option<&Taxonomy>) -> Result<Classes, NodeError> {
        let texts = strings(frame, "text")?;
        let labels = strings(frame, "label")?;
        let valid = booleans(frame, "text_valid").ok();
        let usable: Vec<Option<&str>> = labels
            .iter()
            .zip(texts.iter())
            .enumerate()
            .map(|(row, (label, text))| {
                let text_valid = match valid {
                    Some(valid) => valid.get(row) == Some(true),
                    None => text.is_some_and(|text| !text.trim().is_empty()),
                };
                label.filter(|label| text_valid && taxonomy.is_none_or(|t| t.contains(label)))
            })
            .collect();
        let names = distinct(usable.iter().copied().flatten());
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if names.len() < 2 {
            let message = match names.first() {
                None => "no record has a usable text and an approved label".to_owned(),
                Some(name) => {
                    format!("all usable records have one label, `{name}`; two or more are needed")
                }
            };
            let hint = match taxonomy {
                Some(_) => "compare the labels with the taxonomy",
                None => "check that `columns: {label: ...}` names the right column",
            };
            return Err(NodeError::input(message).with_hint(hint));
        }
        let index = |label: &str| names.binary_search_by(|name| name.as_str().cmp(label)).ok();
        let of_record =
            usable.iter().map(|label| label.and_then(index).map(|n| n as u32)).collect();
        Ok(Classes { names, of_record })
    }
}
