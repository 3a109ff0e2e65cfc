//! A trained classifier as one blob: a header that says what it is, then the plugin's own bytes.

use engine::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classifier::Candidate;

/// First bytes of a model blob; the digit is the format's version.
const MAGIC: &[u8; 16] = b"relabel-model-1\n";
/// Longer headers than any real one are refused before anything is allocated.
const MAX_HEADER: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ModelBlobError {
    #[error("these bytes are no model of relabel")]
    NoModel,
    #[error("the model's header cannot be read: {0}")]
    Header(String),
}

/// What was trained, on what, with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelHeader {
    pub plugin: String,
    /// The plugin as the pipeline asked for it: its name, or the path of its file.
    pub plugin_choice: String,
    pub plugin_version: String,
    pub plugin_file_digest: String,
    pub params: Value,
    /// Columns beside the text that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    pub seed: u64,
    /// Category of each class index.
    pub categories: Vec<String>,
    /// Records it was trained on.
    pub rows: u64,
    pub model_version: String,
}

/// A header with the plugin's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelBlob {
    pub header: ModelHeader,
    pub model: Vec<u8>,
}

impl ModelBlob {
    pub fn encode(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.header).expect("a header is plain data");
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.model);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<ModelBlob, ModelBlobError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ModelBlobError::NoModel)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or(ModelBlobError::NoModel)?;
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER || length > rest.len() as u64 {
            return Err(ModelBlobError::Header("it is cut short".into()));
        }
        let (header, model) = rest.split_at(length as usize);
        let header = serde_json::from_slice(header)
            .map_err(|error| ModelBlobError::Header(error.to_string()))?;
        Ok(ModelBlob { header, model: model.to_vec() })
    }
}

/// Plugin name, version and a short digest of its file, parameters and further columns.
pub(crate) fn model_version(candidate: &Candidate) -> String {
    let plugin = candidate.classifier.description();
    let mut facts = engine::Facts::new();
    facts.add("file", plugin.file_digest.clone());
    facts.add_tree("params:", &candidate.params);
    if !candidate.columns.is_empty() {
        facts.add("columns", candidate.columns.clone());
    }
    let digest: Digest = facts.key();
    format!("{} {} {}", plugin.name, plugin.version, digest.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_comes_back_and_garbage_does_not() {
        let header = ModelHeader {
            plugin: "linear".into(),
            plugin_choice: "linear".into(),
            plugin_version: "0.1.0".into(),
            plugin_file_digest: "00".into(),
            params: serde_json::json!({}),
            columns: vec!["channel".into()],
            seed: 1,
            categories: vec!["a".into(), "b".into()],
            rows: 10,
            model_version: "v".into(),
        };
        let blob = ModelBlob { header, model: vec![1, 2, 3] };
        let bytes = blob.encode();
        assert_eq!(ModelBlob::decode(&bytes).unwrap(), blob);
        for cut in 0..bytes.len() - 3 {
            assert!(ModelBlob::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut huge = bytes;
        huge[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(ModelBlob::decode(&huge).is_err());
    }
}
