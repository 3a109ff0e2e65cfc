//! What all end-to-end tests share: a folder to work in, `relabel` to run there, and what it said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub mod authors;
pub mod data;
pub mod mask;
pub mod plugins;
pub mod reviewer;
pub mod rows;

use mask::masked;

pub use data::{PIPELINE, Random, Record, records, to_csv};

/// Folder of this repository.
pub fn repository() -> PathBuf {
    let cli = Path::new(env!("CARGO_MANIFEST_DIR"));
    cli.join("../..").canonicalize().unwrap()
}

/// Cargo puts the libraries of dev-dependencies beside the test program.
pub fn built_plugins() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// A folder of its own, in which files are written and `relabel` is run.
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// An empty folder. `relabel.toml` keeps the cache inside it.
    pub fn empty() -> Sandbox {
        let sandbox = Sandbox { folder: tempfile::tempdir().unwrap() };
        sandbox.write("relabel.toml", "");
        sandbox
    }

    /// An empty folder in memory where the system has one: syncing costs nothing there.
    pub fn in_memory() -> Sandbox {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let sandbox = Sandbox { folder: folder.unwrap() };
        sandbox.write("relabel.toml", "");
        sandbox
    }

    /// All files of another sandbox, times included, in a folder of its own in memory.
    pub fn copy_of(other: &Sandbox) -> Sandbox {
        let sandbox = Sandbox::in_memory();
        let from = other.path(".");
        let copied = Command::new("cp").arg("-a").arg(from).arg(sandbox.path(".")).status();
        assert!(copied.unwrap().success());
        sandbox
    }

    /// 300 records with some wrong labels, a taxonomy and a pipeline that audits them.
    pub fn audit() -> Sandbox {
        let sandbox = Sandbox::empty();
        sandbox.write("taxonomy.yaml", data::TAXONOMY);
        sandbox.write("relabel.yaml", PIPELINE);
        sandbox.write("records.csv", to_csv(&records(300, 7)));
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    #[track_caller]
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces text in a file; the text must be there.
    #[track_caller]
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, text.replace(from, to));
    }

    /// `relabel` in this folder, with the plugins just built and those in `plugins/`; nothing of
    /// the environment.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relabel"));
        command.arg("--plugin-path").arg(built_plugins());
        let own = self.path("plugins");
        if own.exists() {
            command.arg("--plugin-path").arg(own);
        }
        command.args(args);
        self.here(&mut command);
        command
    }

    /// `relabel` behind a line of shell, which ends in `exec "$@"`.
    pub fn command_behind(&self, shell: &str, args: &[&str]) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("{shell}; exec \"$@\""), "bash"]);
        command.arg(env!("CARGO_BIN_EXE_relabel")).arg("--plugin-path").arg(built_plugins());
        command.args(args);
        self.here(&mut command);
        command
    }

    fn here(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["RELABEL_CACHE_DIR", "RELABEL_LOCKED", "RELABEL_PLUGIN_PATH", "RELABEL_STORE"]
        {
            command.env_remove(name);
        }
    }

    #[track_caller]
    pub fn relabel(&self, args: &[&str]) -> Outcome {
        self.outcome(self.command(args))
    }

    #[track_caller]
    pub fn outcome(&self, mut command: Command) -> Outcome {
        Outcome::new(command.output().unwrap(), self)
    }

    /// Runs to the end and gives the events; it must end with code 0.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Events {
        let (events, outcome) = self.run_to_end(args);
        outcome.ok();
        events
    }

    /// Runs to the end, whatever that is.
    #[track_caller]
    pub fn run_to_end(&self, args: &[&str]) -> (Events, Outcome) {
        let args: Vec<&str> = ["run", "--format", "json"].iter().chain(args).copied().collect();
        let outcome = self.relabel(&args);
        let events = Events::parse(&outcome.stdout);
        (events, outcome)
    }

    /// A frame in the cache as JSON objects.
    #[track_caller]
    pub fn frame(&self, node: &str, args: &[&str]) -> Vec<Value> {
        let all = ["show", node, "--limit", "0", "--as", "json"];
        let args: Vec<&str> = all.iter().chain(args).copied().collect();
        self.relabel(&args).ok().json_lines()
    }

    fn mask(&self, text: &str) -> String {
        let folder = self.folder.path();
        let text = text.replace(&*self.path("").to_string_lossy(), "[SANDBOX]/");
        masked(&text.replace(&*folder.to_string_lossy(), "[SANDBOX]"))
    }
}

/// How a program ended and what it said.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    masked: [String; 2],
}

impl Outcome {
    pub fn new(output: Output, sandbox: &Sandbox) -> Outcome {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let masked = [sandbox.mask(&stdout), sandbox.mask(&stderr)];
        Outcome { code: output.status.code(), stdout, stderr, masked }
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Outcome {
        let (out, err) = (&self.stdout, &self.stderr);
        assert_eq!(self.code, Some(code), "stdout:\n{out}\nstderr:\n{err}");
        self
    }

    #[track_caller]
    pub fn ok(self) -> Outcome {
        self.code(0)
    }

    /// What went to stdout, without what differs from run to run.
    pub fn out(&self) -> &str {
        self.masked[0].trim_end()
    }

    /// What went to stderr, without what differs from run to run.
    pub fn err(&self) -> &str {
        self.masked[1].trim_end()
    }

    /// Every text must be on stderr.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Outcome {
        for text in texts {
            assert!(self.err().contains(text), "`{text}` is not in:\n{}", self.err());
        }
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The events of `run --format json`.
#[derive(Debug)]
pub struct Events(pub Vec<Value>);

impl Events {
    #[track_caller]
    pub fn parse(text: &str) -> Events {
        Events(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// `node` or `node[fold]` of each unit in this state, sorted.
    pub fn units(&self, state: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.ended().filter(|unit| unit["state"] == state).map(unit_name).collect();
        names.sort();
        names
    }

    /// Why a unit ran.
    #[track_caller]
    pub fn reason(&self, unit: &str) -> &str {
        self.unit(unit)["reason"].as_str().unwrap_or_default()
    }

    /// The line of a unit that came to its end.
    #[track_caller]
    pub fn unit(&self, unit: &str) -> &Value {
        let found = self.ended().find(|event| unit_name(event) == unit);
        found.unwrap_or_else(|| panic!("no unit `{unit}` in {self:?}"))
    }

    /// The texts of the warnings a unit gave.
    pub fn warnings(&self, unit: &str) -> Vec<String> {
        let notes = self.unit(unit)["notes"].as_array().cloned().unwrap_or_default();
        let warnings = notes.iter().filter(|note| note["note"] == "warning");
        warnings.map(|note| note["text"].as_str().unwrap().to_owned()).collect()
    }

    pub fn of(&self, event: &str) -> Vec<&Value> {
        self.0.iter().filter(|value| value["event"] == event).collect()
    }

    /// The last line.
    #[track_caller]
    pub fn finish(&self) -> &Value {
        let last = self.0.last().unwrap();
        assert_eq!(last["event"], "run_finished", "{last}");
        last
    }

    fn ended(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(|event| event["event"] == "unit")
    }
}

/// `oof`, `oof[choice]` or `oof[2]`.
pub fn unit_name(unit: &Value) -> String {
    let node = unit["node"].as_str().unwrap();
    match unit["fold"].as_u64() {
        Some(fold) => format!("{node}[{fold}]"),
        None if unit["part"] == "choice" => format!("{node}[choice]"),
        None => node.to_owned(),
    }
}
