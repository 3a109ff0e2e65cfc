//! What runs in the child before the plugin: limits, death with the parent, descriptors.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::serve::serve;

/// What a child process is to be.
#[derive(Debug, Clone)]
pub enum Hosted {
    /// A library, hosted by this program.
    Library(PathBuf),
    /// Another program, which takes this one's place.
    Program(PathBuf),
}

/// The order to become the process of a plugin.
#[derive(Debug, Clone)]
pub struct ExecPlugin {
    pub hosted: Hosted,
    /// Most bytes of address space.
    pub memory: Option<u64>,
    /// The process that asked; without it there is nothing to do.
    pub parent: Option<u32>,
}

/// Becomes the process of a plugin; returns when the parent has nothing more to ask.
pub fn exec_plugin(order: &ExecPlugin) -> Result<(), String> {
    set_limits(order.memory).map_err(|error| format!("the limits cannot be set: {error}"))?;
    if let Some(parent) = order.parent {
        die_with(parent).map_err(|error| format!("the parent is not there: {error}"))?;
    }
    match &order.hosted {
        Hosted::Library(library) => {
            let (input, output) = private_pipes()
                .map_err(|error| format!("stdin and stdout cannot be kept: {error}"))?;
            serve(library, input, output)
        }
        Hosted::Program(program) => match become_program(program) {
            Ok(never) => match never {},
            Err(error) => Err(format!("`{}` cannot be started: {error}", program.display())),
        },
    }
}

fn become_program(program: &PathBuf) -> io::Result<Infallible> {
    Err(Command::new(program).exec())
}

/// Lowers limits, never raises them. A crash is told by its signal; nobody looks for the core.
fn set_limits(memory: Option<u64>) -> io::Result<()> {
    lower(Resource::Core, 0)?;
    memory.map_or(Ok(()), |bytes| lower(Resource::As, bytes))
}

fn lower(resource: Resource, value: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let value = now.maximum.map_or(value, |maximum| maximum.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before this was set; then nobody is told any more.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now == Some(parent) { Ok(()) } else { Err(io::Error::other("it has ended")) }
}

/// Elsewhere a child ends when its stdin does.
#[cfg(not(target_os = "linux"))]
fn die_with(_: u32) -> io::Result<()> {
    Ok(())
}

/// Moves stdin and stdout to descriptors of their own, before foreign code runs: what a plugin
/// prints goes to stderr, what it reads is empty.
fn private_pipes() -> io::Result<(File, File)> {
    const FIRST: i32 = 3;
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), FIRST)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), FIRST)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok((File::from(input), File::from(output)))
}

/// Memory of the machine in bytes; what is unknown is no limit.
pub(crate) fn physical_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib.saturating_mul(1024))
}
