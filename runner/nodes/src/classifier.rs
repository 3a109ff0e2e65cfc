//! How a pipeline names a classifier: a plugin with parameters, or `auto` for either.
//!
//! Plugins declare what `auto` may try in their parameter schema: `x-relabel-auto` is a list of
//! partial parameter objects, the cheapest first. Nothing here fits a model.

use std::sync::Arc;

use engine::classifier::Classifier;
use engine::{FactContext, NodeError};
use plan::{Finding, Isolation, Limits, PluginDescription, PluginRequest, Schema, World};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::kind::Making;
use crate::texts;

/// The word for "find it out".
const AUTO: &str = "auto";

/// What a plugin's schema calls the parameters worth trying.
const CANDIDATES: &str = "x-relabel-auto";

/// What `plugin: auto` tries when the pipeline does not say: cheap, and strong on different texts.
const AMONG: [&str; 3] = ["linear", "complement-nb", "naive-bayes"];

/// A classifier as the pipeline file has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClassifierSpec {
    /// Name of a plugin on the search path, or path of its file, with a `/`. `auto` tries those of
    /// `among` and takes the one with the best out-of-fold accuracy against the given labels.
    #[schemars(extend("x-relabel-key" = false))]
    pub plugin: String,
    /// The plugin's own parameters; `relabel plugins show NAME` lists them. `auto` tries what the
    /// plugin proposes.
    #[serde(default)]
    pub params: Value,
    /// Columns beside the text that the plugin is given: words (strings, booleans) or numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The plugins that `plugin: auto` tries; `linear`, `complement-nb` and `naive-bayes` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-relabel-key" = false))]
    pub among: Option<Vec<String>>,
    /// Where the plugin runs: shipped libraries run in the process, all others in their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IsolationChoice", extend("x-relabel-key" = false))]
    pub isolation: Option<IsolationChoice>,
    /// Limits of the plugin's own process; a plugin that is given any has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LimitsChoice", extend("x-relabel-key" = false))]
    pub limits: Option<LimitsChoice>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IsolationChoice {
    Process,
    InProcess,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsChoice {
    /// Seconds that a call (prepare, fit, predict) may take; 3600 if absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub seconds: Option<u64>,
    /// Address space of the process in MiB; the memory of the machine if absent.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub memory_mb: Option<u64>,
}

/// A plugin with parameters, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    pub plugin: PluginDescription,
    /// The plugin as the pipeline asked for it: its name, or the path of its file.
    pub asked_as: String,
    pub params: Value,
}

/// A plugin with parameters, ready to be used.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub classifier: Arc<dyn Classifier>,
    pub asked_as: String,
    pub params: Value,
    /// Columns it is given beside the text.
    pub columns: Vec<String>,
}

impl ClassifierSpec {
    /// Whether something is to be found out before a model can be fitted.
    pub fn is_auto(&self) -> bool {
        self.plugin == AUTO || self.is_auto_params()
    }

    /// A plugin of this choice as it is asked for.
    fn request<'a>(&self, plugin: &'a str) -> PluginRequest<'a> {
        let isolation = self.isolation.map(|choice| match choice {
            IsolationChoice::Process => Isolation::Process,
            IsolationChoice::InProcess => Isolation::InProcess,
        });
        let limits = self.limits.map_or_else(Limits::default, |limits| Limits {
            seconds: limits.seconds,
            memory_mb: limits.memory_mb,
        });
        PluginRequest { plugin, isolation, limits }
    }

    /// [`ClassifierSpec::check`], and the further columns against the records to learn from.
    pub fn check_with(
        &self,
        world: &dyn World,
        pointer: &str,
        records: Option<&Schema>,
    ) -> Result<Vec<Described>, Vec<Finding>> {
        let described = self.check(world, pointer)?;
        let columns = self.columns.iter().enumerate();
        let findings: Vec<Finding> = columns
            .filter_map(|(n, column)| {
                let (message, hint) = texts::unfit(column, &self.columns[..n], records?)?;
                let finding = Finding::param(&format!("{pointer}/columns/{n}"), message);
                Some(finding.with_hint(hint))
            })
            .collect();
        if findings.is_empty() { Ok(described) } else { Err(findings) }
    }

    /// Describes the plugin, or all that `auto` may choose from, and checks the parameters.
    pub fn check(&self, world: &dyn World, pointer: &str) -> Result<Vec<Described>, Vec<Finding>> {
        let at = |name: &str| format!("{pointer}/{name}");
        if self.among.is_some() && self.plugin != AUTO {
            let finding = Finding::param(&at("among"), "`among` goes with `plugin: auto`");
            return Err(vec![finding.with_hint("leave it out, or write `plugin: auto`")]);
        }
        if self.plugin == AUTO && !(self.params.is_null() || self.is_auto_params()) {
            let message = "`plugin: auto` chooses the parameters too";
            let finding = Finding::param(&at("params"), message);
            return Err(vec![finding.with_hint("leave `params` out, or name a plugin")]);
        }
        if self.among.as_ref().is_some_and(Vec::is_empty) {
            return Err(vec![Finding::param(&at("among"), "no plugin is named")]);
        }
        let (mut described, mut findings) = (Vec::new(), Vec::new());
        for name in self.names() {
            match world.plugin(&self.request(name)) {
                Ok(plugin) if !(self.columns.is_empty() || plugin.claims("columns")) => {
                    let message = format!("plugin `{}` reads the text alone", plugin.name);
                    let hint =
                        "leave `columns` out, or name a plugin with the capability `columns`";
                    findings.push(Finding::param(&at("columns"), message).with_hint(hint));
                }
                Ok(plugin) => match self.params_of(&plugin, &at("params")) {
                    Ok(all) => described.extend(all.into_iter().map(|params| Described {
                        plugin: plugin.clone(),
                        asked_as: name.to_owned(),
                        params,
                    })),
                    Err(mut wrong) => findings.append(&mut wrong),
                },
                Err(problem) => {
                    let key = match problem.key {
                        "plugin" if self.among.is_some() => "among",
                        key => key,
                    };
                    let mut finding = Finding::param(&at(key), problem.message);
                    finding.hint = problem.hint;
                    findings.push(finding);
                }
            }
        }
        if findings.is_empty() { Ok(described) } else { Err(findings) }
    }

    fn is_auto_params(&self) -> bool {
        self.params.as_str() == Some(AUTO)
    }

    /// The plugins this may come to.
    fn names(&self) -> Vec<&str> {
        match &self.among {
            _ if self.plugin != AUTO => vec![&self.plugin],
            Some(names) => names.iter().map(String::as_str).collect(),
            None => AMONG.to_vec(),
        }
    }

    /// The parameters to use, or to try, with the plugin's defaults filled in.
    fn params_of(
        &self,
        plugin: &PluginDescription,
        pointer: &str,
    ) -> Result<Vec<Value>, Vec<Finding>> {
        let schema = &plugin.params_schema;
        let fill = |mut params: Value| {
            plan::fill_defaults(schema, &mut params);
            params
        };
        if !self.is_auto() {
            let given = match &self.params {
                Value::Null => Value::Object(Map::new()),
                given => given.clone(),
            };
            let params = fill(given);
            let findings = plan::validate(schema, &params, pointer);
            return if findings.is_empty() { Ok(vec![params]) } else { Err(findings) };
        }
        let Some(proposed) = schema.get(CANDIDATES).and_then(Value::as_array) else {
            if self.plugin == AUTO {
                // As it is, beside those that propose more.
                return Ok(vec![fill(Value::Object(Map::new()))]);
            }
            let message = format!("plugin `{}` proposes no parameters for `auto`", plugin.name);
            return Err(vec![
                Finding::param(pointer, message).with_hint("leave `params` out for its defaults"),
            ]);
        };
        let all: Vec<Value> = proposed.iter().cloned().map(fill).collect();
        let findings: Vec<Finding> =
            all.iter().flat_map(|params| plan::validate(schema, params, pointer)).collect();
        if findings.is_empty() && !all.is_empty() {
            return Ok(all);
        }
        let message = format!("plugin `{}` proposes parameters it does not accept", plugin.name);
        Err(vec![Finding::param(pointer, message).with_hint("name the parameters yourself")])
    }

    /// The plugins with the parameters of [`ClassifierSpec::check`], ready to be used.
    pub fn candidates(&self, making: &Making<'_>) -> Result<Vec<Candidate>, NodeError> {
        let mut candidates = Vec::new();
        for name in self.names() {
            let classifier = making.classifier(&self.request(name))?;
            let all = self.params_of(classifier.description(), "").map_err(|findings| {
                let texts: Vec<String> = findings.into_iter().map(|f| f.message).collect();
                NodeError::input(texts.join("; "))
            })?;
            candidates.extend(all.into_iter().map(|params| Candidate {
                classifier: Arc::clone(&classifier),
                asked_as: name.to_owned(),
                params,
                columns: self.columns.clone(),
            }));
        }
        Ok(candidates)
    }
}

/// A plugin counts by its name, version and file, wherever it lies.
pub(crate) fn plugin_facts(candidates: &[Candidate], context: &mut FactContext<'_>) {
    let mut plugins: Vec<&PluginDescription> = Vec::new();
    for plugin in candidates.iter().map(|candidate| candidate.classifier.description()) {
        if plugins.last() != Some(&plugin) {
            plugins.push(plugin);
        }
    }
    for (n, plugin) in plugins.into_iter().enumerate() {
        let prefix = if n == 0 { "plugin".to_owned() } else { format!("plugin:{n}") };
        context.facts.add(format!("{prefix}:name"), format!("{} {}", plugin.name, plugin.version));
        context.facts.add(format!("{prefix}:file"), plugin.file_digest.clone());
    }
}
