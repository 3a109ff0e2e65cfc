//! What a plugin says of itself, checked by the same rules whatever way it came.

use engine::classifier::{Isolation, PluginDescription, Transport};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The plugin's own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub name: String,
    pub version: String,
    pub description: String,
    pub licence: String,
    #[serde(default)]
    pub capabilities: Vec<String>,
    pub params_schema: Value,
}

/// What the host knows of a plugin's file.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub digest: String,
    /// As the user named it, for messages.
    pub location: String,
    pub transport: Transport,
    pub isolation: Isolation,
}

impl About {
    pub fn check(&self) -> Result<(), String> {
        if !is_plugin_name(&self.name) {
            return Err(format!("its name `{}` is not made of a-z, 0-9 and `-`", self.name));
        }
        if !self.params_schema.is_object() {
            return Err("its params_schema is not a JSON object".to_owned());
        }
        // These go to terminals as they are.
        let fields = [
            ("version", &self.version),
            ("description", &self.description),
            ("licence", &self.licence),
        ];
        for (field, text) in fields {
            if text.chars().any(|c| c.is_control() && c != '\n') {
                return Err(format!("its {field} has control characters"));
            }
        }
        Ok(())
    }

    pub fn of(self, origin: &Origin) -> PluginDescription {
        PluginDescription {
            name: self.name,
            version: self.version,
            description: self.description,
            licence: self.licence,
            capabilities: self.capabilities,
            params_schema: self.params_schema,
            file_digest: origin.digest.clone(),
            location: origin.location.clone(),
            transport: origin.transport,
            isolation: origin.isolation,
        }
    }
}

impl From<&PluginDescription> for About {
    fn from(description: &PluginDescription) -> About {
        About {
            name: description.name.clone(),
            version: description.version.clone(),
            description: description.description.clone(),
            licence: description.licence.clone(),
            capabilities: description.capabilities.clone(),
            params_schema: description.params_schema.clone(),
        }
    }
}

pub(crate) fn is_plugin_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_move_a_terminal_is_refused() {
        let about = |name: &str, description: &str| About {
            name: name.into(),
            version: "1.0.0".into(),
            description: description.into(),
            licence: "MIT".into(),
            capabilities: vec![],
            params_schema: serde_json::json!({}),
        };
        assert_eq!(about("a-1", "two\nlines, ß").check(), Ok(()));
        assert!(about("a-1", "\u{1b}[2J").check().unwrap_err().contains("control characters"));
        for name in ["", "A", "a b", "ä", "../a"] {
            assert!(about(name, "").check().unwrap_err().starts_with("its name"), "{name}");
        }
    }
}
