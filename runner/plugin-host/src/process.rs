//! Plugins in child processes: the host's side, the child's side for libraries, and the protocol
//! between them, which is written down in `protocol`.
//!
//! | file | knows |
//! | --- | --- |
//! | `protocol` | headers of messages |
//! | `wire` | messages on a pipe |
//! | `columns` | data of operations as Arrow columns |
//! | `spawn` | starting and ending processes |
//! | `tail` | the end of stderr |
//! | `child` | calls to one process |
//! | `plugin` | the classifier traits over several |
//! | `descriptions` | descriptions on disk |
//! | `launcher`, `serve` | what runs in the child |

mod child;
mod columns;
mod descriptions;
mod launcher;
mod plugin;
mod protocol;
mod serve;
mod spawn;
mod tail;
mod wire;

pub use launcher::{ExecPlugin, Hosted, exec_plugin};
pub use spawn::Launcher;

pub(crate) use descriptions::{read as read_description, write as write_description};
pub(crate) use plugin::{Isolated, IsolatedClassifier, Setting};
