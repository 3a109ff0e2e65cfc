//! The C functions behind a [`Classifier`]: pointers in, checked Rust values on.
//!
//! Every function goes through [`guard`], which stops a panic, turns it into an error and poisons
//! this instance alone: another table of the same library still works.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use plugin_abi as abi;

use crate::arrow_in::{read_texts, read_values};
use crate::error::{Error, write_error};
use crate::{Classifier, Context, Training, arrow_out, envelope};

/// What a table's `state` points to.
struct Instance {
    poisoned: AtomicBool,
    description: DescriptionStrings,
}

/// The strings of a description, alive as long as the instance.
struct DescriptionStrings {
    name: CString,
    version: CString,
    description: CString,
    licence: CString,
    _capabilities: Vec<CString>,
    /// Pointers into `_capabilities`, ended by null.
    capability_pointers: Vec<*const c_char>,
    params_schema: CString,
}

/// A corpus with its length, so that rows can be checked.
struct CorpusHandle<T> {
    rows: usize,
    corpus: T,
}

/// A model with its class count, which the score array needs.
struct ModelHandle<T> {
    class_count: u32,
    model: T,
}

/// Fills a table with the functions of `T`; the body of the exported entry symbol.
///
/// # Safety
///
/// `table` and `error` are null or point to writable structs of version `version`.
pub unsafe extern "C" fn fill_table<T: Classifier>(
    version: u32,
    table: *mut abi::ClassifierTable,
    error: *mut abi::Error,
) -> abi::Status {
    let made = catch_unwind(|| {
        if version != abi::ABI_VERSION {
            let own = abi::ABI_VERSION;
            let message = format!("the host speaks ABI version {version}, the plugin {own}");
            return Err((abi::UNSUPPORTED_VERSION, message));
        }
        let description = describe_strings::<T>().map_err(|message| (abi::FAILED, message))?;
        Ok(Box::new(Instance { poisoned: AtomicBool::new(false), description }))
    });
    let failure = match made {
        Ok(Ok(_)) if table.is_null() => (abi::INVALID_ARGUMENT, "the table is null".to_owned()),
        Ok(Ok(instance)) => {
            // SAFETY: not null, and the caller promises a writable place.
            unsafe { table.write(table_of::<T>(Box::into_raw(instance).cast())) };
            return abi::OK;
        }
        Ok(Err(failure)) => failure,
        Err(panic) => (abi::PANICKED, panic_message(&*panic)),
    };
    // SAFETY: the caller promises null or a writable place.
    unsafe { write_error(error, &failure.1) };
    failure.0
}

fn table_of<T: Classifier>(state: *mut c_void) -> abi::ClassifierTable {
    abi::ClassifierTable {
        abi_version: abi::ABI_VERSION,
        state,
        describe: Some(describe),
        prepare: Some(prepare::<T>),
        fit: Some(fit::<T>),
        predict: Some(predict::<T>),
        save: Some(save::<T>),
        load: Some(load::<T>),
        release_corpus: Some(release_handle::<CorpusHandle<T::Corpus>>),
        release_model: Some(release_handle::<ModelHandle<T::Model>>),
        release: Some(release_table),
    }
}

fn describe_strings<T: Classifier>() -> Result<DescriptionStrings, String> {
    let about = T::ABOUT;
    let owned = |text: &str| CString::new(text).map_err(|_| format!("`{text}` holds a NUL"));
    let schema = serde_json::to_string(&schemars::schema_for!(T::Params))
        .map_err(|error| format!("the parameters have no JSON Schema: {error}"))?;
    let capabilities =
        about.capabilities.iter().map(|name| owned(name)).collect::<Result<Vec<_>, _>>()?;
    let mut capability_pointers: Vec<_> = capabilities.iter().map(|name| name.as_ptr()).collect();
    capability_pointers.push(ptr::null());
    Ok(DescriptionStrings {
        name: owned(about.name)?,
        version: owned(about.version)?,
        description: owned(about.description)?,
        licence: owned(about.licence)?,
        _capabilities: capabilities,
        capability_pointers,
        params_schema: owned(&schema)?,
    })
}

unsafe extern "C" fn describe(
    state: *mut c_void,
    out: *mut abi::Description,
    error: *mut abi::Error,
) -> abi::Status {
    // SAFETY: the host passes the table's own state and null or writable out-parameters.
    unsafe {
        guard(state, error, |instance| {
            let strings = &instance.description;
            let description = abi::Description {
                name: strings.name.as_ptr(),
                version: strings.version.as_ptr(),
                description: strings.description.as_ptr(),
                licence: strings.licence.as_ptr(),
                capabilities: strings.capability_pointers.as_ptr(),
                params_schema: strings.params_schema.as_ptr(),
            };
            write_out(out, description, "description")
        })
    }
}

unsafe extern "C" fn prepare<T: Classifier>(
    state: *mut c_void,
    schema: *const abi::ArrowSchema,
    columns: *const abi::ArrowArray,
    params: *const c_char,
    context: *const abi::Context,
    out: *mut *mut c_void,
    error: *mut abi::Error,
) -> abi::Status {
    // SAFETY: the host passes the table's own state, borrowed structs that live until the call
    // returns, and null or writable out-parameters.
    unsafe {
        guard(state, error, |_| {
            let texts = read_texts(schema, columns)?;
            if texts.len() > u32::MAX as usize {
                return Err(Error::new(format!("{} rows are too many", texts.len())));
            }
            let params: T::Params = parse_params(params)?;
            let corpus = T::prepare(params, &texts, &read_context(context)?)?;
            let handle = Box::new(CorpusHandle { rows: texts.len(), corpus });
            write_out(out, Box::into_raw(handle).cast(), "corpus")
        })
    }
}

unsafe extern "C" fn fit<T: Classifier>(
    state: *mut c_void,
    corpus: *const c_void,
    training: *const abi::Training,
    context: *const abi::Context,
    out: *mut *mut c_void,
    error: *mut abi::Error,
) -> abi::Status {
    // SAFETY: as in `prepare`; `corpus` is null or a live handle of this table.
    unsafe {
        guard(state, error, |_| {
            let handle = read_handle::<CorpusHandle<T::Corpus>>(corpus, "corpus")?;
            let training = read_training(training, handle.rows)?;
            let model = T::fit(&handle.corpus, &training, &read_context(context)?)?;
            let class_count = training.class_count as u32;
            let handle = Box::new(ModelHandle { class_count, model });
            write_out(out, Box::into_raw(handle).cast(), "model")
        })
    }
}

unsafe extern "C" fn predict<T: Classifier>(
    state: *mut c_void,
    corpus: *const c_void,
    model: *const c_void,
    rows: *const abi::ArrowArray,
    context: *const abi::Context,
    schema: *mut abi::ArrowSchema,
    out: *mut abi::ArrowArray,
    error: *mut abi::Error,
) -> abi::Status {
    // SAFETY: as in `fit`; `model` is null or a live handle of this table.
    unsafe {
        guard(state, error, |_| {
            let corpus = read_handle::<CorpusHandle<T::Corpus>>(corpus, "corpus")?;
            let model = read_handle::<ModelHandle<T::Model>>(model, "model")?;
            let rows: &[u32] = read_values(rows, "rows")?;
            check_below(rows, corpus.rows, "a row")?;
            let class_count = model.class_count as usize;
            let Some(length) = rows.len().checked_mul(class_count) else {
                return Err(Error::new("the scores do not fit into memory"));
            };
            let mut scores = vec![0.0; length];
            let context = read_context(context)?;
            T::predict(&corpus.corpus, &model.model, rows, &mut scores, &context)?;
            let (made_schema, made_array) = arrow_out::export_scores(scores, class_count);
            write_out(schema, made_schema, "score schema")?;
            write_out(out, made_array, "scores")
        })
    }
}

unsafe extern "C" fn save<T: Classifier>(
    state: *mut c_void,
    model: *const c_void,
    out: *mut abi::Bytes,
    error: *mut abi::Error,
) -> abi::Status {
    // SAFETY: as in `predict`.
    unsafe {
        guard(state, error, |_| {
            let handle = read_handle::<ModelHandle<T::Model>>(model, "model")?;
            let payload = T::save(&handle.model)?;
            let bytes = envelope::wrap(T::ABOUT.name, handle.class_count, &payload);
            write_out(out, export_bytes(bytes), "bytes")
        })
    }
}

unsafe extern "C" fn load<T: Classifier>(
    state: *mut c_void,
    data: *const u8,
    length: usize,
    out: *mut *mut c_void,
    class_count_out: *mut u32,
    error: *mut abi::Error,
) -> abi::Status {
    // SAFETY: as in `prepare`; `data` is null or points to `length` bytes.
    unsafe {
        guard(state, error, |_| {
            if data.is_null() && length > 0 {
                return Err(Error::invalid("the model bytes are a null pointer"));
            }
            let bytes = if length == 0 { &[] } else { slice::from_raw_parts(data, length) };
            let (class_count, payload) = envelope::unwrap(T::ABOUT.name, bytes)?;
            let model = T::load(payload, class_count as usize)?;
            write_out(class_count_out, class_count, "class count")?;
            let handle = Box::new(ModelHandle { class_count, model });
            write_out(out, Box::into_raw(handle).cast(), "model")
        })
    }
}

/// Frees a corpus or a model; a panic in its destructor ends here.
unsafe extern "C" fn release_handle<H>(_state: *mut c_void, handle: *mut c_void) {
    if handle.is_null() {
        return;
    }
    // SAFETY: the host gives each handle back once, to the table that made it.
    let handle = unsafe { Box::from_raw(handle.cast::<H>()) };
    let _ = catch_unwind(AssertUnwindSafe(move || drop(handle)));
}

unsafe extern "C" fn release_table(table: *mut abi::ClassifierTable) {
    // SAFETY: the holder of a live `release` passes its own table, whose state is our `Instance`;
    // both fields are cleared, so that it is freed once.
    unsafe {
        let state = (*table).state.cast::<Instance>();
        (*table).state = ptr::null_mut();
        (*table).release = None;
        if !state.is_null() {
            drop(Box::from_raw(state));
        }
    }
}

/// Runs an operation, reports its error, and turns a panic into one that poisons the instance.
///
/// # Safety
///
/// `state` is null or the state of a live table; `error` is null or writable and empty.
unsafe fn guard(
    state: *mut c_void,
    error: *mut abi::Error,
    operation: impl FnOnce(&Instance) -> Result<(), Error>,
) -> abi::Status {
    // SAFETY: the caller's promise.
    let Some(instance) = (unsafe { state.cast::<Instance>().as_ref() }) else {
        // SAFETY: the caller's promise.
        unsafe { write_error(error, "the plugin's state is a null pointer") };
        return abi::INVALID_ARGUMENT;
    };
    if instance.poisoned.load(Ordering::Acquire) {
        // SAFETY: the caller's promise.
        unsafe { write_error(error, "the plugin panicked in an earlier call") };
        return abi::PANICKED;
    }
    let (status, message) = match catch_unwind(AssertUnwindSafe(|| operation(instance))) {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(failure)) => (failure.status(), failure.to_string()),
        Err(panic) => {
            instance.poisoned.store(true, Ordering::Release);
            (abi::PANICKED, panic_message(&*panic))
        }
    };
    // SAFETY: the caller's promise.
    unsafe { write_error(error, &message) };
    status
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("no message"))
}

/// # Safety
///
/// `out` is null or writable, and what is there owns nothing.
unsafe fn write_out<V>(out: *mut V, value: V, what: &str) -> Result<(), Error> {
    if out.is_null() {
        return Err(Error::invalid(format!("the place for the {what} is a null pointer")));
    }
    // SAFETY: not null; the rest is the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// # Safety
///
/// `handle` is null or a live handle of type `H` that stays alive for `'a`.
unsafe fn read_handle<'a, H>(handle: *const c_void, what: &str) -> Result<&'a H, Error> {
    // SAFETY: the caller's promise.
    unsafe { handle.cast::<H>().as_ref() }
        .ok_or_else(|| Error::invalid(format!("the {what} is a null pointer")))
}

/// # Safety
///
/// `context` is null or stays valid for `'a`.
unsafe fn read_context<'a>(context: *const abi::Context) -> Result<Context<'a>, Error> {
    // SAFETY: the caller's promise.
    let context = unsafe { context.as_ref() };
    context.map(Context::new).ok_or_else(|| Error::invalid("the context is a null pointer"))
}

/// # Safety
///
/// `params` is null or ends with NUL.
unsafe fn parse_params<P: serde::de::DeserializeOwned>(params: *const c_char) -> Result<P, Error> {
    if params.is_null() {
        return Err(Error::invalid("the parameters are a null pointer"));
    }
    // SAFETY: not null; the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(params) }
        .to_str()
        .map_err(|_| Error::invalid("the parameters are not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| Error::new(format!("parameters: {error}")))
}

/// # Safety
///
/// `training` is null or stays valid for `'a`, with all it points to.
unsafe fn read_training<'a>(
    training: *const abi::Training,
    corpus_rows: usize,
) -> Result<Training<'a>, Error> {
    // SAFETY: the caller's promise, here and below.
    let Some(training) = (unsafe { training.as_ref() }) else {
        return Err(Error::invalid("the training rows are a null pointer"));
    };
    // SAFETY: as above; the formats are fixed by `plugin.h`.
    let (rows, labels): (&[u32], &[u32]) =
        unsafe { (read_values(training.rows, "rows")?, read_values(training.labels, "labels")?) };
    let weights: Option<&[f32]> = if training.weights.is_null() {
        None
    } else {
        // SAFETY: as above.
        Some(unsafe { read_values(training.weights, "weights")? })
    };
    if labels.len() != rows.len() || weights.is_some_and(|weights| weights.len() != rows.len()) {
        return Err(Error::invalid("rows, labels and weights differ in length"));
    }
    if training.class_count < 2 {
        return Err(Error::invalid("there are fewer than two classes"));
    }
    let class_count = training.class_count as usize;
    check_below(rows, corpus_rows, "a row")?;
    check_below(labels, class_count, "a label")?;
    if weights.is_some_and(|weights| weights.iter().any(|w| !(w.is_finite() && *w > 0.0))) {
        return Err(Error::invalid("a weight is not finite and above 0"));
    }
    Ok(Training { rows, labels, weights, class_count, seed: training.seed })
}

fn check_below(values: &[u32], limit: usize, what: &str) -> Result<(), Error> {
    match values.iter().find(|&&value| value as usize >= limit) {
        Some(value) => Err(Error::invalid(format!("{what} is {value}, of {limit}"))),
        None => Ok(()),
    }
}

fn export_bytes(bytes: Vec<u8>) -> abi::Bytes {
    let bytes = Box::new(bytes);
    abi::Bytes {
        data: bytes.as_ptr(),
        length: bytes.len(),
        private_data: Box::into_raw(bytes).cast(),
        release: Some(release_bytes),
    }
}

unsafe extern "C" fn release_bytes(bytes: *mut abi::Bytes) {
    // SAFETY: the holder of a live `release` passes its own struct, whose private data is the
    // `Vec` of `export_bytes`.
    unsafe {
        (*bytes).release = None;
        drop(Box::from_raw((*bytes).private_data.cast::<Vec<u8>>()));
    }
}
