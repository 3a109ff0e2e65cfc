//! The surroundings of a command: where the pipeline is, its cache, its plugins.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::classifier::{ClassifierSource, ClassifierSourceError};
use engine::{Cache, Engine, SystemClock};
use nodes::BuiltinNodes;
use plan::{
    Catalog, PipelineSource, Plan, PluginDescription, PluginProblem, PluginRequest, World,
    WorldError,
};
use plugin_host::{Launcher, PluginSource};

use crate::args::{Format, FormatName, Global, PipelineArgs};
use crate::error::{CliError, Exit};
use crate::output;
use crate::plugins_lock::PluginsLock;
use crate::sound_checks::SoundChecks;

/// What commands share.
pub struct Context {
    pub format: Format,
    /// `--format csv`, which `show` alone takes.
    pub csv: bool,
    pub plugins: Arc<PluginSource>,
    pub catalog: Catalog,
    cache_dir: Option<PathBuf>,
    /// Plugins have to be those of plugins.lock.
    locked: bool,
    /// Where the cache and plugins are, as options of a command that is to find the same ones.
    pub places: String,
    factory: BuiltinNodes,
    clock: SystemClock,
}

/// A pipeline that has been read and checked.
pub struct Loaded {
    pub plan: Plan,
    /// The file as the user named it.
    pub name: String,
    /// The folder of the file, absolute.
    pub base_dir: PathBuf,
    pub cache: Cache,
    pub checks: SoundChecks,
    /// Every plugin the pipeline asks for, or lets `auto` choose from, by the word it has for it.
    pub plugins: BTreeMap<String, PluginDescription>,
}

impl Context {
    pub fn new(global: Global) -> Context {
        let folder = program_folder();
        let folders = plugin_folders(&global.plugin_path, folder.as_deref());
        // What is built beside the program is as trusted as the program; cargo builds the libraries
        // that tests use into `deps`.
        let own_folders =
            folder.map_or_else(Vec::new, |folder| vec![folder.join("deps"), folder.clone()]);
        let plugins = Arc::new(PluginSource::new(folders).isolating(launcher(), own_folders));
        let source: Arc<dyn ClassifierSource> = plugins.clone();
        Context {
            format: global.format.for_tables(),
            csv: global.format == FormatName::Csv,
            catalog: nodes::catalog(),
            factory: BuiltinNodes::new(source),
            places: places(&global),
            plugins,
            cache_dir: global.cache_dir,
            locked: global.locked,
            clock: SystemClock,
        }
    }

    /// The file of the pipeline: the one that was named, or the one that is here.
    pub fn pipeline_path(&self, args: &PipelineArgs) -> Result<PathBuf, CliError> {
        match &args.pipeline {
            Some(path) => Ok(path.clone()),
            None => default_pipeline(),
        }
    }

    /// Reads and checks a pipeline; every problem is in the error.
    pub fn load(&self, args: &PipelineArgs) -> Result<Loaded, CliError> {
        self.load_with(args, self.locked)
    }

    /// The same, whatever plugins.lock says.
    pub fn load_unlocked(&self, args: &PipelineArgs) -> Result<Loaded, CliError> {
        self.load_with(args, false)
    }

    fn load_with(&self, args: &PipelineArgs, locked: bool) -> Result<Loaded, CliError> {
        let path = self.pipeline_path(args)?;
        let text = std::fs::read(&path).map_err(|error| {
            CliError::usage(format!("cannot read pipeline `{}`: {error}", path.display()))
        })?;
        let text = String::from_utf8(text)
            .map_err(|_| CliError::usage(format!("pipeline `{}` is not UTF-8", path.display())))?;
        let full = std::path::absolute(&path)?;
        let base_dir = full.parent().map(Path::to_owned).unwrap_or_default();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if locked {
            self.plugins.pin(PluginsLock::read_beside(&path)?.pins(&base_dir));
        }
        let cache_folder = self.cache_folder(&base_dir);
        self.plugins.keep_descriptions(cache_folder.join("plugins-v1"));
        let checks = SoundChecks::open(cache_folder.join("checks-v1"));
        let cache = Cache::at(cache_folder);
        let refusals = RefCell::default();
        let found = RefCell::default();
        let world = Outside {
            base_dir: &base_dir,
            plugins: &self.plugins,
            refusals: &refusals,
            found: &found,
            checks: &checks,
        };
        let params = args.params.iter().map(|path| read_params(path));
        let params = params.collect::<Result<Vec<String>, CliError>>()?;
        let source = PipelineSource {
            text: &text,
            default_name: &stem,
            params: &params,
            overrides: &args.set,
        };
        let name = path.display().to_string();
        let plan = plan::compile(&source, &self.catalog, &world).map_err(|errors| {
            CliError::plan(&errors, &name, &source, &args.params, &refusals.borrow())
        })?;
        checks.save();
        Ok(Loaded { plan, name, base_dir, cache, checks, plugins: found.into_inner() })
    }

    pub fn cache_folder(&self, base_dir: &Path) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| {
            let marked = |folder: &&Path| {
                folder.join("relabel.toml").exists() || folder.join(".git").exists()
            };
            base_dir.ancestors().find(marked).unwrap_or(base_dir).join(".relabel")
        })
    }

    /// The cache of a folder, or of its `pipelines/` where a pipeline there keeps its own.
    pub fn cache_of_folder(&self, here: &Path) -> PathBuf {
        let folder = self.cache_folder(here);
        let below = here.join("pipelines").join(".relabel");
        if !folder.exists() && below.exists() { below } else { folder }
    }

    pub fn engine(&self, loaded: &Loaded) -> Engine<'_> {
        Engine {
            cache: loaded.cache.clone(),
            factory: &self.factory,
            clock: &self.clock,
            base_dir: loaded.base_dir.clone(),
        }
    }
}

/// Options of the command line that say where things are, each with a blank before it.
fn places(global: &Global) -> String {
    let folder = |option: &str, folder: &PathBuf| {
        format!(" {option} {}", output::quoted(&folder.to_string_lossy()))
    };
    let cache = global.cache_dir.iter().map(|path| folder("--cache-dir", path));
    let plugins = global.plugin_path.iter().map(|path| folder("--plugin-path", path));
    let locked = global.locked.then(|| " --locked".to_owned());
    cache.chain(plugins).chain(locked).collect()
}

fn program_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().and_then(std::fs::canonicalize).ok()?;
    program.parent().map(Path::to_owned)
}

fn read_params(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read parameters `{}`: {error}", path.display()))
    })
}

/// This program, started once more for each process of a plugin.
fn launcher() -> Launcher {
    // The file that runs now, even if another was built in its place since.
    let itself = PathBuf::from("/proc/self/exe");
    let program = if itself.exists() { Some(itself) } else { std::env::current_exe().ok() };
    Launcher {
        program: program.unwrap_or_else(|| PathBuf::from("relabel")),
        arguments: vec!["exec-plugin".into()],
        environment: std::env::vars_os().collect(),
    }
}

/// `--plugin-path`, then `RELABEL_PLUGIN_PATH`, then the folder of the binary.
fn plugin_folders(given: &[PathBuf], program_folder: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = given.to_vec();
    if let Some(path) = std::env::var_os("RELABEL_PLUGIN_PATH") {
        folders.extend(std::env::split_paths(&path));
    }
    folders.extend(program_folder.map(Path::to_owned));
    folders
}

fn default_pipeline() -> Result<PathBuf, CliError> {
    let plain = PathBuf::from("relabel.yaml");
    if plain.exists() {
        return Ok(plain);
    }
    let found = yaml_files("pipelines");
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let error =
                CliError::usage("no pipeline: neither relabel.yaml nor pipelines/*.yaml is here");
            let is_pipeline = |path: &PathBuf| {
                std::fs::read_to_string(path)
                    .is_ok_and(|text| text.lines().any(|line| line.starts_with("nodes:")))
            };
            Err(error.with_hint(match yaml_files(".").into_iter().find(is_pipeline) {
                Some(path) => format!("name a file, such as `{}`", path.display()),
                None => "name a file, or try `relabel demo`".to_owned(),
            }))
        }
        more => {
            let names: Vec<String> = more.iter().map(|p| p.display().to_string()).collect();
            Err(CliError::usage("which pipeline? there are several in pipelines/")
                .with_hint(format!("name one of: {}", names.join(", "))))
        }
    }
}

/// The YAML files in a folder, by name.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .map(|path| path.strip_prefix(".").map_or(path.clone(), Path::to_owned))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    found.sort();
    found
}

/// Files, environment and plugins, for the check.
struct Outside<'a> {
    base_dir: &'a Path,
    plugins: &'a PluginSource,
    /// What was said of plugins that are there and were refused: another exit code.
    refusals: &'a RefCell<Vec<String>>,
    /// Every plugin that was given, by the word it was asked for with.
    found: &'a RefCell<BTreeMap<String, PluginDescription>>,
    checks: &'a SoundChecks,
}

impl World for Outside<'_> {
    fn base_dir(&self) -> &Path {
        self.base_dir
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_text(&self, path: &str) -> Result<String, WorldError> {
        std::fs::read_to_string(self.base_dir.join(path))
            .map_err(|error| WorldError(error.to_string()))
    }

    fn was_sound(&self, fingerprint: &[u8; 32]) -> bool {
        self.checks.has(fingerprint)
    }

    fn note_sound(&self, fingerprint: &[u8; 32]) {
        self.checks.note(fingerprint);
    }

    fn plugin(&self, request: &PluginRequest<'_>) -> Result<PluginDescription, PluginProblem> {
        // A path starts from the pipeline's folder, like any other path in it.
        let path = self.base_dir.join(request.plugin).display().to_string();
        let plugin = if request.plugin.contains('/') { &path } else { request.plugin };
        match self.plugins.classifier(&PluginRequest { plugin, ..*request }) {
            Ok(classifier) => {
                let description = classifier.description().clone();
                self.found.borrow_mut().insert(request.plugin.to_owned(), description.clone());
                Ok(description)
            }
            Err(error) => {
                let problem = plugin_problem(&error);
                if problem.refused {
                    self.refusals.borrow_mut().push(problem.message.clone());
                }
                Err(problem)
            }
        }
    }
}

fn plugin_problem(error: &ClassifierSourceError) -> PluginProblem {
    let message = error.to_string();
    match error {
        ClassifierSourceError::Unknown { name, known, searched } => {
            let hint = match plan::did_you_mean(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => {
                    format!("no plugin is in {}; use `--plugin-path`", searched.join(", "))
                }
                None => format!("plugins: `{}`", known.join("`, `")),
            };
            PluginProblem { message, hint: Some(hint), refused: false, key: "plugin" }
        }
        ClassifierSourceError::Unpinned { .. } => {
            let hint = "`relabel plugins lock` accepts the plugins as they are now";
            PluginProblem { message, hint: Some(hint.into()), refused: true, key: "plugin" }
        }
        ClassifierSourceError::Refused { .. } => {
            let hint =
                "build it against this version's plugin.h, or name another: `relabel plugins list`";
            PluginProblem { message, hint: Some(hint.into()), refused: true, key: "plugin" }
        }
        ClassifierSourceError::Isolation { .. } => {
            let hint = "take `isolation` away, or say `isolation: process`";
            PluginProblem { message, hint: Some(hint.into()), refused: false, key: "isolation" }
        }
    }
}

/// The URL of the review store that a pipeline uses.
pub fn store_url(loaded: &Loaded) -> Result<String, CliError> {
    let mut urls: Vec<String> = loaded
        .plan
        .steps()
        .filter(|step| step.kind == "review-queue" || step.kind == "corrections")
        .filter_map(|step| step.params["store"].as_str().map(str::to_owned))
        .collect();
    urls.sort();
    urls.dedup();
    match urls.len() {
        1 => Ok(urls.remove(0)),
        0 => Err(CliError::new(Exit::Invalid, format!("{} uses no review store", loaded.name))
            .with_hint("give one with `--store sqlite:FILE`")),
        _ => Err(CliError::new(Exit::Invalid, format!("{} uses several stores", loaded.name))
            .with_hint("choose one with `--store URL`")),
    }
}
