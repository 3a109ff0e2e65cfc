//! One table of one plugin: made by its entry function, checked, described, released at the end.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, Ordering};

use engine::classifier::PluginDescription;
use plugin_abi as abi;
use serde_json::Value;

use crate::call;
use crate::description::{About, Origin};

/// More than any plugin has; ends the walk over a list that lacks its null.
const MOST_CAPABILITIES: usize = 1000;

/// The functions of a plugin after the check that none is missing.
pub(crate) struct Functions {
    pub prepare: abi::PrepareFn,
    pub fit: abi::FitFn,
    pub predict: abi::PredictFn,
    pub save: abi::SaveFn,
    pub load: abi::LoadFn,
    pub release_corpus: abi::ReleaseHandleFn,
    pub release_model: abi::ReleaseHandleFn,
}

/// A live table with its description.
pub(crate) struct Instance {
    /// Owns the plugin's state; released on drop, after every corpus and model, which hold an
    /// `Arc` of this. Its library, if there is one, is never unloaded.
    table: abi::ClassifierTable,
    pub functions: Functions,
    pub description: PluginDescription,
    /// The plugin panicked: nothing is asked of this instance again.
    broken: AtomicBool,
}

// SAFETY: `plugin.h` lets the host call a table from several threads at once with the same state,
// and the table itself is not changed between the entry call and the drop.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    /// Asks `entry` for a table and checks everything that can be checked without data.
    ///
    /// # Safety
    ///
    /// `entry` is the entry function of a plugin that keeps the contract of `plugin.h`, and its
    /// code stays loaded for the rest of the process.
    pub unsafe fn new(entry: abi::EntryFn, origin: &Origin) -> Result<Instance, String> {
        let mut table = abi::ClassifierTable::empty();
        let mut error = abi::Error::empty();
        // SAFETY: both out-parameters are writable, zeroed, and of the version asked for.
        let status = unsafe { entry(abi::ABI_VERSION, &mut table, &mut error) };
        // From here on the drop of `holder` releases the table on every path.
        let holder = TableHolder(table);
        if status != abi::OK {
            return Err(entry_failure(status, &error));
        }
        let version = holder.0.abi_version;
        if version != abi::ABI_VERSION {
            let own = abi::ABI_VERSION;
            return Err(format!("it speaks ABI version {version}, this program {own}"));
        }
        let functions = checked_functions(&holder.0)?;
        // SAFETY: the table is live and comes from the plugin.
        let description = unsafe { describe(&holder.0, origin)? };
        let broken = AtomicBool::new(false);
        Ok(Instance { table: holder.into_table(), functions, description, broken })
    }

    pub fn state(&self) -> *mut std::ffi::c_void {
        self.table.state
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        release_table(&mut self.table);
    }
}

/// Releases a table that did not make it into an [`Instance`].
struct TableHolder(abi::ClassifierTable);

impl TableHolder {
    fn into_table(mut self) -> abi::ClassifierTable {
        std::mem::replace(&mut self.0, abi::ClassifierTable::empty())
    }
}

impl Drop for TableHolder {
    fn drop(&mut self) {
        release_table(&mut self.0);
    }
}

fn release_table(table: &mut abi::ClassifierTable) {
    if let Some(release) = table.release {
        // SAFETY: we hold the live table; no corpus or model of it is left.
        unsafe { release(table) };
        table.release = None;
    }
}

fn entry_failure(status: abi::Status, error: &abi::Error) -> String {
    let message = call::message(error);
    match status {
        abi::UNSUPPORTED_VERSION => {
            let own = abi::ABI_VERSION;
            format!("it does not speak ABI version {own}: {message}")
        }
        _ => format!("its entry function failed: {message}"),
    }
}

fn checked_functions(table: &abi::ClassifierTable) -> Result<Functions, String> {
    let missing = |name: &str| format!("function `{name}` is missing");
    table.describe.ok_or_else(|| missing("describe"))?;
    table.release.ok_or_else(|| missing("release"))?;
    Ok(Functions {
        prepare: table.prepare.ok_or_else(|| missing("prepare"))?,
        fit: table.fit.ok_or_else(|| missing("fit"))?,
        predict: table.predict.ok_or_else(|| missing("predict"))?,
        save: table.save.ok_or_else(|| missing("save"))?,
        load: table.load.ok_or_else(|| missing("load"))?,
        release_corpus: table.release_corpus.ok_or_else(|| missing("release_corpus"))?,
        release_model: table.release_model.ok_or_else(|| missing("release_model"))?,
    })
}

/// # Safety
///
/// `table` is live and was filled by a plugin that keeps the contract.
unsafe fn describe(
    table: &abi::ClassifierTable,
    origin: &Origin,
) -> Result<PluginDescription, String> {
    let describe = table.describe.ok_or("function `describe` is missing")?;
    let mut raw = abi::Description::empty();
    let mut error = abi::Error::empty();
    // SAFETY: state and function are of one table; the out-parameters are writable.
    let status = unsafe { describe(table.state, &mut raw, &mut error) };
    if status != abi::OK {
        return Err(format!("describe failed: {}", call::message(&error)));
    }
    // SAFETY: the strings of a description are null or live until the table is released.
    let text = |value, field| unsafe { read_text(value, field) };
    let schema = text(raw.params_schema, "params_schema")?;
    let params_schema: Value = serde_json::from_str(&schema)
        .map_err(|error| format!("its params_schema is not JSON: {error}"))?;
    let about = About {
        name: text(raw.name, "name")?,
        version: text(raw.version, "version")?,
        description: text(raw.description, "description")?,
        licence: text(raw.licence, "licence")?,
        // SAFETY: as for the strings.
        capabilities: unsafe { read_list(raw.capabilities)? },
        params_schema,
    };
    about.check()?;
    Ok(about.of(origin))
}

/// # Safety
///
/// `value` is null or ends with NUL.
unsafe fn read_text(value: *const c_char, field: &str) -> Result<String, String> {
    if value.is_null() {
        return Err(format!("its {field} is a null pointer"));
    }
    // SAFETY: not null; the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(value) };
    text.to_str().map(str::to_owned).map_err(|_| format!("its {field} is not UTF-8"))
}

/// # Safety
///
/// `list` is null or an array of strings that ends with a null.
unsafe fn read_list(list: *const *const c_char) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    if list.is_null() {
        return Ok(names);
    }
    for position in 0..MOST_CAPABILITIES {
        // SAFETY: the null that ends the list was not met yet.
        let name = unsafe { *list.add(position) };
        if name.is_null() {
            return Ok(names);
        }
        // SAFETY: not null, so a string of the list.
        names.push(unsafe { read_text(name, "list of capabilities")? });
    }
    Err("its list of capabilities does not end".to_owned())
}
