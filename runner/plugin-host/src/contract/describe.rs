//! What a plugin says of itself, before any text is shown to it.

use engine::classifier::validate_params;
use serde_json::{Value, json};

use super::data::Records;
use super::subject::{Failure, Subject, With};
use super::{CheckResult, Verdict};

/// A parameter that no plugin has.
const UNKNOWN: &str = "no-such-parameter";

pub(super) fn description(subject: &Subject<'_>) -> CheckResult {
    let description = subject.plugin.description();
    if !crate::description::is_plugin_name(&description.name) {
        let name = &description.name;
        return Err(Failure::new(format!("the name `{name}` is not made of a-z, 0-9 and `-`")));
    }
    if !is_version(&description.version) {
        let version = &description.version;
        return Err(Failure::new(format!("the version `{version}` is not MAJOR.MINOR.PATCH")));
    }
    for (field, text) in
        [("description", &description.description), ("licence", &description.licence)]
    {
        if text.trim().is_empty() {
            return Err(Failure::new(format!("the {field} is empty")));
        }
    }
    let schema = &description.params_schema;
    if schema["type"] != "object" {
        return Err(Failure::new("the schema of the parameters is not of type object"));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
            return Err(Failure::new(format!("parameter `{name}` has no description")));
        }
        if property.get("default").is_none() {
            return Err(Failure::new(format!("parameter `{name}` has no default")));
        }
    }
    Ok(Verdict::Passed)
}

pub(super) fn parameters(subject: &Subject<'_>) -> CheckResult {
    let schema = &subject.plugin.description().params_schema;
    if let Some(problem) = first_problem(schema, &subject.params) {
        let params = &subject.params;
        return Err(Failure::new(format!(
            "the schema refuses its own defaults {params}: {problem}"
        )));
    }
    let mut unknown = subject.params.clone();
    unknown[UNKNOWN] = json!(1);
    if first_problem(schema, &unknown).is_none() {
        return Err(Failure::new(format!(
            "the schema accepts the parameter `{UNKNOWN}`; say `additionalProperties: false`, so \
             that typing errors are found"
        )));
    }
    let records = Records::easy(20);
    subject
        .prepare(&records.texts, 1)
        .with(format!("the default parameters {}", subject.params))?;
    Ok(Verdict::Passed)
}

fn first_problem(schema: &Value, params: &Value) -> Option<String> {
    validate_params(schema, params, "").into_iter().next().map(|finding| finding.message)
}

/// `MAJOR.MINOR.PATCH`, a pre-release or build after `-` or `+`; semver.org, sections 2, 9 and 10.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    let rest = &text[core.len()..];
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte);
    let has_rest = rest.is_empty() || rest.len() > 1 && rest.bytes().all(allowed);
    core.split('.').count() == 3 && core.split('.').all(is_number) && has_rest
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn versions_have_three_numbers() {
        for version in ["0.1.0", "10.20.30", "1.0.0-rc.1", "1.2.3+build.5"] {
            assert!(is_version(version), "{version}");
        }
        for other in ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "v1.2.3", "1.2.3-", "1.2.3-ä"]
        {
            assert!(!is_version(other), "{other}");
        }
    }
}
