//! The taxonomy: the categories a label may name, and where records of each one go.

use serde::Deserialize;

use crate::suggest::did_you_mean;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    pub name: String,
    /// What belongs here, for reviewers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The queue that records of this category are routed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
}

/// The approved categories, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxonomy {
    categories: Vec<Category>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaxonomyError {
    #[error("{0}")]
    Syntax(String),
    #[error("taxonomy version {0} is not known; this build reads version 1")]
    Version(u64),
    #[error("category `{0}` is listed twice")]
    Duplicate(String),
    #[error("category {0} has an empty name")]
    EmptyName(usize),
    #[error("a taxonomy needs at least one category")]
    Empty,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CategoryEntry {
    Name(String),
    Full(Category),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaxonomyFile {
    version: u64,
    categories: Vec<CategoryEntry>,
}

impl Taxonomy {
    /// Reads `version: 1` and `categories:`, a list of names or of `{name, description, queue}`.
    pub fn parse(text: &str) -> Result<Taxonomy, TaxonomyError> {
        let file: TaxonomyFile =
            serde_yaml::from_str(text).map_err(|error| TaxonomyError::Syntax(error.to_string()))?;
        if file.version != 1 {
            return Err(TaxonomyError::Version(file.version));
        }
        Taxonomy::new(file.categories.into_iter().map(|entry| match entry {
            CategoryEntry::Name(name) => Category { name, description: None, queue: None },
            CategoryEntry::Full(category) => category,
        }))
    }

    /// Checks names: none empty, none twice, at least one.
    pub fn new(categories: impl IntoIterator<Item = Category>) -> Result<Taxonomy, TaxonomyError> {
        let categories: Vec<Category> = categories.into_iter().collect();
        if categories.is_empty() {
            return Err(TaxonomyError::Empty);
        }
        let mut seen = std::collections::HashSet::new();
        for (n, category) in categories.iter().enumerate() {
            if category.name.trim().is_empty() {
                return Err(TaxonomyError::EmptyName(n + 1));
            }
            if !seen.insert(category.name.as_str()) {
                return Err(TaxonomyError::Duplicate(category.name.clone()));
            }
        }
        Ok(Taxonomy { categories })
    }

    pub fn categories(&self) -> &[Category] {
        &self.categories
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.categories.iter().map(|category| category.name.as_str())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.categories.iter().any(|category| category.name == name)
    }

    pub fn nearest(&self, name: &str) -> Option<&str> {
        did_you_mean(name, self.names())
    }

    /// The content as canonical JSON, for a digest that comments and layout do not change.
    pub fn canonical(&self) -> serde_json::Value {
        serde_json::json!({ "version": 1, "categories": self.categories })
    }
}
