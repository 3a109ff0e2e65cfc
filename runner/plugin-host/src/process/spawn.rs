//! Starts and ends child processes. What they say is not known here.
//!
//! A child dies with the thread that started it (`PR_SET_PDEATHSIG` is about threads), so one
//! thread, which lives as long as this process, starts them all.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::classifier::Transport;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// What a child inherits, beside every `LC_*`. A password in the environment stays here.
const KEPT: [&str; 9] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
];

/// Same bytes on every machine: numerical libraries sum in another order on other threads, and
/// Python orders sets by a hash. Folds run side by side anyway. And address space, which counts
/// against the memory limit, is not reserved ahead by the allocator of this program.
const SET: [(&str, &str); 5] = [
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("PYTHONHASHSEED", "0"),
    ("MIMALLOC_ARENA_RESERVE", "0"),
];

/// How this program starts the process of a plugin: by calling itself.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program that calls [`crate::exec_plugin`].
    pub program: PathBuf,
    /// Its arguments before those of [`crate::ExecPlugin`], such as `exec-plugin`.
    pub arguments: Vec<OsString>,
    /// The environment to choose from; most of it does not get through.
    pub environment: Vec<(OsString, OsString)>,
}

impl Launcher {
    /// `memory` is the most bytes of address space the child may have.
    pub(crate) fn command(&self, transport: Transport, file: &Path, memory: u64) -> Command {
        let mut command = Command::new(&self.program);
        let option = match transport {
            Transport::Library => "--library",
            Transport::Program => "--program",
        };
        command
            .args(&self.arguments)
            .arg(option)
            .arg(file)
            .args(["--memory", &memory.to_string()])
            .args(["--parent", &std::process::id().to_string()])
            .env_clear()
            .envs(scrubbed(&self.environment))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at a terminal reaches groups; and a group can be killed with all it started.
            .process_group(0);
        command
    }
}

fn scrubbed(environment: &[(OsString, OsString)]) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    let is_kept = |name: &OsStr| {
        let name = name.to_string_lossy();
        KEPT.contains(&&*name) || name.starts_with("LC_")
    };
    let kept = environment.iter().filter(move |(name, _)| is_kept(name));
    kept.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
        .chain(SET.map(|(name, value)| (OsStr::new(name), OsStr::new(value))))
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts a child from the thread that lives as long as this process.
pub(crate) fn spawn(command: Command) -> io::Result<Process> {
    static ORDERS: OnceLock<Result<Sender<Order>, String>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        let run = move || {
            for (mut command, reply) in orders {
                // Nobody may wait any more; then the child is dropped and found dead at stdin.
                let _ = reply.send(command.spawn());
            }
        };
        let thread = thread::Builder::new().name("plugin-children".to_owned()).spawn(run);
        thread.map(|_| sender).map_err(|error| error.to_string())
    });
    let orders = orders.as_ref().map_err(|error| io::Error::other(error.as_str()))?;
    let (reply, child) = channel();
    let gone = || io::Error::other("the thread that starts processes has ended");
    orders.send((command, reply)).map_err(|_| gone())?;
    let child = child.recv().map_err(|_| gone())??;
    Ok(Process { child, ended: None })
}

/// A child and the group it leads; both are killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    pub child: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Waits until the child has ended by itself; `None` if it has not in this time.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while self.ended.is_none() {
            if self.has_ended() {
                return self.kill();
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.ended
    }

    /// Looks without reaping: as long as the child is not reaped, its group's number is its own.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match self.pid().map(|pid| waitid(WaitId::Pid(pid), options)) {
            Some(Ok(status)) => status.is_some(),
            _ => true,
        }
    }

    /// Kills the child with all it started, unless it has ended; returns how it ended.
    pub fn kill(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            if let Some(pid) = self.pid() {
                // Fails if the group is gone, which is what is wanted.
                let _ = kill_process_group(pid, Signal::KILL);
            }
            self.ended = self.child.wait().ok();
        }
        self.ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says how a process ended: the name of a signal, or an exit status.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by {}", signal_name(signal)),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => status.to_string(),
    }
}

/// The signals that a process dies of when it has no memory left.
pub(crate) fn may_be_memory(status: ExitStatus) -> bool {
    let signal = status.signal().and_then(Signal::from_named_raw);
    signal.is_some_and(|s| [Signal::ABORT, Signal::SEGV, Signal::KILL, Signal::BUS].contains(&s))
}

fn signal_name(signal: i32) -> String {
    let name = match Signal::from_named_raw(signal) {
        Some(Signal::ABORT) => "SIGABRT",
        Some(Signal::ALARM) => "SIGALRM",
        Some(Signal::BUS) => "SIGBUS",
        Some(Signal::FPE) => "SIGFPE",
        Some(Signal::HUP) => "SIGHUP",
        Some(Signal::ILL) => "SIGILL",
        Some(Signal::INT) => "SIGINT",
        Some(Signal::KILL) => "SIGKILL",
        Some(Signal::PIPE) => "SIGPIPE",
        Some(Signal::QUIT) => "SIGQUIT",
        Some(Signal::SEGV) => "SIGSEGV",
        Some(Signal::SYS) => "SIGSYS",
        Some(Signal::TERM) => "SIGTERM",
        Some(Signal::TRAP) => "SIGTRAP",
        Some(Signal::XCPU) => "SIGXCPU",
        Some(Signal::XFSZ) => "SIGXFSZ",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_here() {
        let names = ["PATH", "LC_ALL", "RELABEL_STORE", "AWS_SECRET_ACCESS_KEY", "OMP_NUM_THREADS"];
        let environment: Vec<(OsString, OsString)> =
            names.iter().map(|name| (OsString::from(name), OsString::from("8"))).collect();
        let passed: Vec<String> = scrubbed(&environment)
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            passed,
            [
                "PATH=8",
                "LC_ALL=8",
                "OMP_NUM_THREADS=1",
                "OPENBLAS_NUM_THREADS=1",
                "MKL_NUM_THREADS=1",
                "PYTHONHASHSEED=0",
                "MIMALLOC_ARENA_RESERVE=0"
            ]
        );
    }

    #[test]
    fn endings_are_named() {
        let status = |shell: &str| Command::new("sh").args(["-c", shell]).status().unwrap();
        assert_eq!(ending(status("kill -SEGV $$")), "killed by SIGSEGV");
        assert_eq!(ending(status("exit 3")), "exit status 3");
        assert!(may_be_memory(status("kill -KILL $$")) && !may_be_memory(status("kill -TERM $$")));
    }
}
