//! A classifier plugin as a plan knows it: what is asked for, and what it says of itself.
//! Plain data; how a plugin is found, loaded or called is not known here.

use serde_json::Value;

/// What the file of a plugin is; a library counts before a program of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// A shared library behind the C table.
    Library,
    /// An executable that speaks the wire protocol on stdin and stdout.
    Program,
}

impl Transport {
    /// Returns the word in tables and messages.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Library => "library",
            Transport::Program => "program",
        }
    }
}

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// In this process, which it can take down.
    InProcess,
    /// In a child process, which it can only take down itself.
    Process,
}

impl Isolation {
    /// Returns the word in pipeline files.
    pub fn word(self) -> &'static str {
        match self {
            Isolation::InProcess => "in-process",
            Isolation::Process => "process",
        }
    }
}

/// What the process of an isolated plugin may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limits {
    /// Time of each call, in seconds.
    pub seconds: Option<u64>,
    /// Address space of the process, in MiB.
    pub memory_mb: Option<u64>,
}

/// A plugin as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginRequest<'a> {
    /// Its name, or the path of its file.
    pub plugin: &'a str,
    /// Where to run it; the source of plugins decides if absent.
    pub isolation: Option<Isolation>,
    pub limits: Limits,
}

impl<'a> PluginRequest<'a> {
    /// A plugin where and with the limits it has by default.
    pub fn new(plugin: &'a str) -> PluginRequest<'a> {
        PluginRequest { plugin, isolation: None, limits: Limits::default() }
    }
}

/// What a plugin says of itself, before any data are shown to it.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginDescription {
    /// The word in the pipeline file, such as `linear`.
    pub name: String,
    /// The plugin's own version, `MAJOR.MINOR.PATCH`.
    pub version: String,
    pub description: String,
    pub licence: String,
    /// Names of optional abilities; unknown ones are ignored.
    pub capabilities: Vec<String>,
    /// JSON Schema of the parameters object, with a default for every optional property.
    pub params_schema: Value,
    /// BLAKE3 of the plugin's file, 64 hexadecimal digits.
    pub file_digest: String,
    /// Where it was found, for messages; not part of any key.
    pub location: String,
    pub transport: Transport,
    /// Where it runs; not part of any key.
    pub isolation: Isolation,
}

impl PluginDescription {
    /// Whether it has an optional ability, such as `weights` or `columns`.
    pub fn claims(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|name| name == capability)
    }
}

/// Why a plugin could not be described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginProblem {
    pub message: String,
    pub hint: Option<String>,
    /// It is there and was refused (ABI, digest, trust), as opposed to not found.
    pub refused: bool,
    /// The key of the request that is at fault: `plugin` or `isolation`.
    pub key: &'static str,
}
