//! Opens shared libraries, for the life of the process.

use std::path::Path;
use std::sync::Arc;

use libloading::Library;
use plugin_abi as abi;

use crate::description::Origin;
use crate::instance::Instance;

/// Opens a library and makes a plugin of it.
pub(crate) fn load_library(path: &Path, origin: &Origin) -> Result<Arc<Instance>, String> {
    instantiate(open_library(path)?, origin)
}

/// Makes one more plugin of a library that is open.
pub(crate) fn instantiate(entry: abi::EntryFn, origin: &Origin) -> Result<Arc<Instance>, String> {
    // SAFETY: the symbol is the entry function of a plugin, by its name; the library is never
    // unloaded.
    unsafe { Instance::new(entry, origin) }.map(Arc::new)
}

/// Opens a library for the rest of the process and finds its entry function.
pub(crate) fn open_library(path: &Path) -> Result<abi::EntryFn, String> {
    let library = open_forever(path).map_err(|error| format!("it is no library: {error}"))?;
    // Never dropped: thread-local destructors of the plugin may run until the process ends.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: a library that exports this name promises the signature of `plugin.h`.
    let symbol = unsafe { library.get::<abi::EntryFn>(abi::ENTRY_SYMBOL) };
    match symbol {
        Ok(symbol) => Ok(*symbol),
        Err(_) => Err(format!("it is no plugin: it does not export `{}`", abi::ENTRY_SYMBOL)),
    }
}

#[cfg(unix)]
fn open_forever(path: &Path) -> Result<Library, libloading::Error> {
    use libloading::os::unix;
    const RTLD_NODELETE: i32 = if cfg!(target_os = "macos") { 0x80 } else { 0x1000 };
    let flags = unix::RTLD_NOW | unix::RTLD_LOCAL | RTLD_NODELETE;
    // SAFETY: running the library's initialisers is what loading a plugin means; the user put it
    // on the search path or named it.
    unsafe { unix::Library::open(Some(path), flags) }.map(Library::from)
}

#[cfg(not(unix))]
fn open_forever(path: &Path) -> Result<Library, libloading::Error> {
    // SAFETY: as above.
    unsafe { Library::new(path) }
}
