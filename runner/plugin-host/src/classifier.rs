//! The engine's classifier traits on top of a plugin's table, in this process.

use std::any::Any;
use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use engine::classifier::{
    CallContext, Classifier, ClassifierError, ClassifierSourceError, Corpus, FitRequest, Isolation,
    Model, PluginDescription, Texts, Transport,
};
use plugin_abi as abi;
use serde_json::Value;

use crate::arrow_in::score_values;
use crate::arrow_out::{BorrowedTexts, BorrowedValues};
use crate::call::{broke, check_status, failed, refuse_broken, with_context};
use crate::description::Origin;
use crate::instance::Instance;
use crate::scores::normalised;

/// Makes a classifier from an entry function that is linked into this program.
///
/// The same code as for a library runs, without dlopen: for tests, Miri and sanitizers.
///
/// # Safety
///
/// `entry` keeps the contract of `plugin.h`.
pub unsafe fn load_static(
    entry: abi::EntryFn,
    name: &str,
) -> Result<Arc<dyn Classifier>, ClassifierSourceError> {
    let location = "<linked into this program>";
    let origin = Origin {
        digest: "0".repeat(64),
        location: location.to_owned(),
        transport: Transport::Library,
        isolation: Isolation::InProcess,
    };
    // SAFETY: the caller's promise; linked code is never unloaded.
    match unsafe { Instance::new(entry, &origin) } {
        Ok(instance) => Ok(Arc::new(HostClassifier::new(Arc::new(instance)))),
        Err(reason) => Err(ClassifierSourceError::Refused {
            name: name.to_owned(),
            location: location.to_owned(),
            reason,
        }),
    }
}

pub(crate) struct HostClassifier {
    instance: Arc<Instance>,
}

impl HostClassifier {
    pub fn new(instance: Arc<Instance>) -> HostClassifier {
        HostClassifier { instance }
    }
}

impl Classifier for HostClassifier {
    fn description(&self) -> &PluginDescription {
        &self.instance.description
    }

    fn prepare(
        &self,
        texts: &Texts,
        params: &Value,
        context: CallContext<'_>,
    ) -> Result<Box<dyn Corpus>, ClassifierError> {
        Ok(Box::new(self.prepare_corpus(texts, params, context)?))
    }

    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, ClassifierError> {
        Ok(Box::new(self.load_model(bytes)?))
    }
}

impl HostClassifier {
    pub fn is_broken(&self) -> bool {
        self.instance.is_broken()
    }

    pub fn prepare_corpus(
        &self,
        texts: &Texts,
        params: &Value,
        context: CallContext<'_>,
    ) -> Result<HostCorpus, ClassifierError> {
        const OPERATION: &str = "prepare";
        let instance = &self.instance;
        refuse_broken(instance, OPERATION)?;
        if u32::try_from(texts.len()).is_err() {
            return Err(failed(instance, OPERATION, "there are more than 4294967295 rows"));
        }
        // JSON text escapes control characters, so NUL cannot be in it.
        let params = CString::new(params.to_string())
            .map_err(|_| failed(instance, OPERATION, "the parameters hold a NUL"))?;
        let columns = BorrowedTexts::new(texts)
            .map_err(|_| failed(instance, OPERATION, "the name of a column holds a NUL"))?;
        let mut handle = std::ptr::null_mut();
        let mut error = abi::Error::empty();
        let status = with_context(context, |context| {
            // SAFETY: every pointer is live until the call returns, out-parameters are writable,
            // and state and function are of one table.
            unsafe {
                (instance.functions.prepare)(
                    instance.state(),
                    columns.schema(),
                    columns.array(),
                    params.as_ptr(),
                    context,
                    &mut handle,
                    &mut error,
                )
            }
        });
        check_status(instance, OPERATION, status, &error)?;
        let release = instance.functions.release_corpus;
        let handle = Handle::new(instance, handle, release, OPERATION)?;
        Ok(HostCorpus { handle, rows: texts.len() })
    }

    pub fn load_model(&self, bytes: &[u8]) -> Result<HostModel, ClassifierError> {
        const OPERATION: &str = "load";
        let instance = &self.instance;
        refuse_broken(instance, OPERATION)?;
        let mut handle = std::ptr::null_mut();
        let mut class_count = 0;
        let mut error = abi::Error::empty();
        // SAFETY: as in `prepare`.
        let status = unsafe {
            (instance.functions.load)(
                instance.state(),
                bytes.as_ptr(),
                bytes.len(),
                &mut handle,
                &mut class_count,
                &mut error,
            )
        };
        check_status(instance, OPERATION, status, &error)?;
        let release = instance.functions.release_model;
        let handle = Handle::new(instance, handle, release, OPERATION)?;
        if class_count < 2 {
            let message = format!("returned a model of {class_count} classes");
            return Err(broke(instance, OPERATION, message));
        }
        Ok(HostModel { handle, class_count })
    }
}

/// A corpus or a model of a plugin; given back to the plugin on drop.
struct Handle {
    instance: Arc<Instance>,
    pointer: NonNull<c_void>,
    release: abi::ReleaseHandleFn,
}

// SAFETY: `plugin.h` lets several threads use a handle at once; it is released by one of them,
// when nobody else holds the owner.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    fn new(
        instance: &Arc<Instance>,
        pointer: *mut c_void,
        release: abi::ReleaseHandleFn,
        operation: &'static str,
    ) -> Result<Handle, ClassifierError> {
        let pointer = NonNull::new(pointer)
            .ok_or_else(|| broke(instance, operation, "returned a null pointer"))?;
        Ok(Handle { instance: Arc::clone(instance), pointer, release })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is of this instance, which is still alive, and is released once.
        unsafe { (self.release)(self.instance.state(), self.pointer.as_ptr()) }
    }
}

pub(crate) struct HostCorpus {
    handle: Handle,
    rows: usize,
}

impl HostCorpus {
    fn check_rows(&self, rows: &[u32], operation: &'static str) -> Result<(), ClassifierError> {
        crate::check_rows(rows, self.rows)
            .map_err(|message| failed(&self.handle.instance, operation, message))
    }
}

impl Corpus for HostCorpus {
    fn fit(
        &self,
        request: FitRequest<'_>,
        context: CallContext<'_>,
    ) -> Result<Box<dyn Model>, ClassifierError> {
        Ok(Box::new(self.fit_model(request, context)?))
    }

    fn predict(
        &self,
        model: &dyn Model,
        rows: &[u32],
        context: CallContext<'_>,
    ) -> Result<Vec<f32>, ClassifierError> {
        let instance = &self.handle.instance;
        let model = model
            .as_any()
            .downcast_ref::<HostModel>()
            .filter(|model| Arc::ptr_eq(&model.handle.instance, instance))
            .ok_or_else(|| failed(instance, "predict", "the model is of another plugin"))?;
        self.scores(model, rows, context, normalised)
    }
}

impl HostCorpus {
    pub fn fit_model(
        &self,
        request: FitRequest<'_>,
        context: CallContext<'_>,
    ) -> Result<HostModel, ClassifierError> {
        const OPERATION: &str = "fit";
        let instance = &self.handle.instance;
        refuse_broken(instance, OPERATION)?;
        self.check_rows(request.rows, OPERATION)?;
        let rows = BorrowedValues::new(request.rows);
        let labels = BorrowedValues::new(request.labels);
        let weights = request.weights.map(BorrowedValues::new);
        let training = abi::Training {
            rows: rows.as_ptr(),
            labels: labels.as_ptr(),
            weights: weights.as_ref().map_or(std::ptr::null(), BorrowedValues::as_ptr),
            class_count: request.class_count,
            seed: request.seed,
        };
        let mut handle = std::ptr::null_mut();
        let mut error = abi::Error::empty();
        let status = with_context(context, |context| {
            // SAFETY: as in `prepare`; the corpus is of this instance.
            unsafe {
                (instance.functions.fit)(
                    instance.state(),
                    self.handle.pointer.as_ptr(),
                    &training,
                    context,
                    &mut handle,
                    &mut error,
                )
            }
        });
        check_status(instance, OPERATION, status, &error)?;
        let release = instance.functions.release_model;
        let handle = Handle::new(instance, handle, release, OPERATION)?;
        Ok(HostModel { handle, class_count: request.class_count })
    }

    /// Scores of a model of this instance; `take` makes them of the values as they came.
    pub fn scores(
        &self,
        model: &HostModel,
        rows: &[u32],
        context: CallContext<'_>,
        take: impl FnOnce(&[f32], usize) -> Result<Vec<f32>, String>,
    ) -> Result<Vec<f32>, ClassifierError> {
        const OPERATION: &str = "predict";
        let instance = &self.handle.instance;
        refuse_broken(instance, OPERATION)?;
        self.check_rows(rows, OPERATION)?;
        let classes = model.class_count as usize;
        let row_array = BorrowedValues::new(rows);
        let mut schema = abi::ArrowSchema::empty();
        let mut scores = abi::ArrowArray::empty();
        let mut error = abi::Error::empty();
        let status = with_context(context, |context| {
            // SAFETY: as in `fit`; the model is of this instance too.
            unsafe {
                (instance.functions.predict)(
                    instance.state(),
                    self.handle.pointer.as_ptr(),
                    model.handle.pointer.as_ptr(),
                    row_array.as_ptr(),
                    context,
                    &mut schema,
                    &mut scores,
                    &mut error,
                )
            }
        });
        check_status(instance, OPERATION, status, &error)?;
        // SAFETY: the plugin reported success, so both structs are as `plugin.h` says.
        unsafe { score_values(&schema, &scores, rows.len(), classes) }
            .and_then(|values| take(values, classes))
            .map_err(|reason| broke(instance, OPERATION, reason))
    }
}

pub(crate) struct HostModel {
    handle: Handle,
    class_count: u32,
}

impl Model for HostModel {
    fn class_count(&self) -> u32 {
        self.class_count
    }

    fn save(&self) -> Result<Vec<u8>, ClassifierError> {
        const OPERATION: &str = "save";
        let instance = &self.handle.instance;
        refuse_broken(instance, OPERATION)?;
        let mut bytes = abi::Bytes::empty();
        let mut error = abi::Error::empty();
        // SAFETY: as in `prepare`; the model is of this instance.
        let status = unsafe {
            (instance.functions.save)(
                instance.state(),
                self.handle.pointer.as_ptr(),
                &mut bytes,
                &mut error,
            )
        };
        check_status(instance, OPERATION, status, &error)?;
        if bytes.data.is_null() && bytes.length > 0 {
            return Err(broke(instance, OPERATION, "returned its bytes as a null pointer"));
        }
        if bytes.length == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: not null, and the plugin promises `length` bytes until the release.
        Ok(unsafe { std::slice::from_raw_parts(bytes.data, bytes.length) }.to_vec())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
