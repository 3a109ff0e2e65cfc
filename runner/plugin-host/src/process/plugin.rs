//! The engine's classifier traits on top of child processes.
//!
//! A child serves one model at a time: `fit` takes an idle child or starts one, prepares the corpus
//! in it if it lacks it, and the model keeps the child until it is dropped. So whatever happens to
//! a child happens to one fold.

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use engine::classifier::{
    CallContext, Cancel, Classifier, ClassifierError, Corpus, FitRequest, Limits, Model,
    PluginDescription, Texts,
};
use serde::Deserialize;
use serde_json::Value;

use super::child::{CallError, Child, NO_DATA, Wait};
use super::columns;
use super::protocol::{Answer, Described, Operation, PROTOCOL, Status};
use super::spawn::Launcher;
use super::wire::Message;
use crate::description::{About, Origin};
use crate::scores::normalised;
use crate::{file_digest, lock};

/// Seconds a call may take where the pipeline sets no limit.
const DEFAULT_SECONDS: u64 = 3600;
/// A description is made of words that are there already; Python may need time to import.
const DESCRIBE_SECONDS: u64 = 120;

/// How a plugin's children are started, and what they may use.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub launcher: Launcher,
    /// Canonical path of the plugin's file.
    pub file: PathBuf,
    pub origin: Origin,
    pub limits: Limits,
}

impl Setting {
    fn seconds(&self) -> u64 {
        self.limits.seconds.unwrap_or(DEFAULT_SECONDS)
    }

    /// The most bytes the child can have, and so the most it can send.
    fn memory(&self) -> u64 {
        let set = self.limits.memory_mb.map(|mb| mb.saturating_mul(1 << 20));
        set.unwrap_or_else(super::launcher::physical_memory)
    }

    fn error(&self, plugin: &str, operation: &'static str, error: CallError) -> ClassifierError {
        let plugin = plugin.to_owned();
        match error {
            CallError::Refused { status: Status::Failed, message } => {
                ClassifierError::Failed { plugin, operation, message }
            }
            CallError::Refused { status: Status::InvalidArgument, message } => {
                let message = format!("refused its arguments: {message}");
                ClassifierError::Contract { plugin, operation, message }
            }
            CallError::Refused { message, .. } | CallError::Protocol(message) => {
                ClassifierError::Contract { plugin, operation, message }
            }
            CallError::Crashed { mut ending, may_be_memory, last_lines } => {
                if let Some(limit) = self.limits.memory_mb.filter(|_| may_be_memory) {
                    ending.push_str(&format!("; its memory limit is {limit} MiB"));
                }
                ClassifierError::Crashed { plugin, operation, ending, last_lines }
            }
            CallError::TimedOut { last_lines } => {
                let seconds = self.seconds_of(operation);
                ClassifierError::TimedOut { plugin, operation, seconds, last_lines }
            }
            CallError::Cancelled => ClassifierError::Cancelled,
        }
    }

    fn seconds_of(&self, operation: &str) -> u64 {
        let seconds = self.seconds();
        if operation == "describe" { seconds.min(DESCRIBE_SECONDS) } else { seconds }
    }

    /// Starts a child and asks it who it is, which also proves that it speaks the protocol.
    pub fn start(&self, name: &str, cancel: &Cancel) -> Result<(Child, About), ClassifierError> {
        const OPERATION: &str = "describe";
        let failed = |message: String| ClassifierError::Failed {
            plugin: name.to_owned(),
            operation: OPERATION,
            message,
        };
        let command = self.launcher.command(self.origin.transport, &self.file, self.memory());
        let mut child = Child::start(command)
            .map_err(|error| failed(format!("its process cannot be started: {error}")))?;
        let wait = Wait { seconds: self.seconds_of(OPERATION), cancel, progress: &|_| {} };
        let (_, message) = child
            .call(Operation::Describe { protocol: PROTOCOL }, &[], NO_DATA, &wait)
            .map_err(|error| self.error(name, OPERATION, error))?;
        let broke = |message: String| ClassifierError::Contract {
            plugin: name.to_owned(),
            operation: OPERATION,
            message,
        };
        let described = Described::deserialize(&message.header)
            .map_err(|error| broke(format!("its description is wrong: {error}")))?;
        if described.protocol != PROTOCOL {
            let version = described.protocol;
            let text = format!("it speaks protocol {version}, this program {PROTOCOL}");
            return Err(broke(text));
        }
        described.about.check().map_err(broke)?;
        Ok((child, described.about))
    }
}

/// A plugin whose children are interchangeable: one file, one set of limits.
pub(crate) struct Isolated {
    setting: Setting,
    description: PluginDescription,
    idle: Mutex<Vec<Child>>,
    last_id: AtomicU64,
    /// That of the last call that had one, for `load`, which has none.
    cancel: Mutex<Cancel>,
}

impl Isolated {
    /// `first` is a child that has described itself already.
    pub fn new(setting: Setting, about: About, first: Option<Child>) -> Isolated {
        let description = about.of(&setting.origin);
        Isolated {
            setting,
            description,
            idle: Mutex::new(first.into_iter().collect()),
            last_id: AtomicU64::new(0),
            cancel: Mutex::default(),
        }
    }

    fn new_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn failed(&self, operation: &'static str, message: impl Into<String>) -> ClassifierError {
        let plugin = self.description.name.clone();
        ClassifierError::Failed { plugin, operation, message: message.into() }
    }

    fn broke(&self, operation: &'static str, message: impl Into<String>) -> ClassifierError {
        let plugin = self.description.name.clone();
        ClassifierError::Contract { plugin, operation, message: message.into() }
    }

    /// Takes an idle child, one that has the corpus if there is any, or starts one.
    fn lease(self: &Arc<Self>, corpus: u64, cancel: &Cancel) -> Result<Lease, ClassifierError> {
        *lock(&self.cancel) = cancel.clone();
        let found = {
            let mut idle = lock(&self.idle);
            let place = idle.iter().rposition(|child| child.has_corpus(corpus));
            place.map(|place| idle.remove(place)).or_else(|| idle.pop())
        };
        let child = match found {
            Some(child) => child,
            None => self.another(cancel)?,
        };
        Ok(Lease { plugin: Arc::clone(self), child: Some(child) })
    }

    /// Starts a child, which must be of the plugin that was described.
    fn another(&self, cancel: &Cancel) -> Result<Child, ClassifierError> {
        const OPERATION: &str = "describe";
        let (child, about) = self.setting.start(&self.description.name, cancel)?;
        let digest = file_digest(&self.setting.file)
            .map_err(|error| self.failed(OPERATION, format!("its file cannot be read: {error}")))?;
        if digest != self.description.file_digest {
            let text = "its file changed while the run was on; run again";
            return Err(self.failed(OPERATION, text));
        }
        if about != About::from(&self.description) {
            let text = "it describes itself otherwise than before";
            return Err(self.broke(OPERATION, text));
        }
        Ok(child)
    }

    fn take_back(&self, mut child: Child) {
        child.release_unused_corpora();
        if !child.is_spent() {
            lock(&self.idle).push(child);
        }
    }

    fn release_unused_corpora(&self) {
        lock(&self.idle).iter_mut().for_each(Child::release_unused_corpora);
    }
}

/// A child in use. Goes back to the idle ones on drop, unless it is spent.
struct Lease {
    plugin: Arc<Isolated>,
    child: Option<Child>,
}

impl Lease {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a lease has its child until it is dropped")
    }

    fn call(
        &mut self,
        operation: Operation,
        batches: Result<Vec<RecordBatch>, ArrowError>,
        room: u64,
        cancel: &Cancel,
        progress: &(dyn Fn(f32) + Send + Sync),
    ) -> Result<(Answer, Message), ClassifierError> {
        let word = operation.word();
        let batches = batches
            .map_err(|error| self.plugin.failed(word, format!("its data do not fit: {error}")))?;
        let wait = Wait { seconds: self.plugin.setting.seconds(), cancel, progress };
        let plugin = Arc::clone(&self.plugin);
        let result = self.child().call(operation, &batches, room, &wait);
        result.map_err(|error| plugin.setting.error(&plugin.description.name, word, error))
    }

    /// Prepares a corpus here, unless it is.
    fn prepare(
        &mut self,
        corpus: &Prepared,
        context: CallContext<'_>,
    ) -> Result<(), ClassifierError> {
        if self.child().has_corpus(corpus.id) {
            return Ok(());
        }
        let operation = Operation::Prepare {
            corpus: corpus.id,
            params: corpus.params.clone(),
            threads: context.threads,
        };
        let texts = Ok(corpus.texts.clone());
        self.call(operation, texts, NO_DATA, context.cancel, context.progress)?;
        let token = Arc::downgrade(&corpus.token);
        self.child().add_corpus(corpus.id, token);
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.plugin.take_back(child);
        }
    }
}

/// What a classifier is to its user: a share of the plugin.
pub(crate) struct IsolatedClassifier(pub Arc<Isolated>);

impl Classifier for IsolatedClassifier {
    fn description(&self) -> &PluginDescription {
        &self.0.description
    }

    fn prepare(
        &self,
        texts: &Texts,
        params: &Value,
        context: CallContext<'_>,
    ) -> Result<Box<dyn Corpus>, ClassifierError> {
        const OPERATION: &str = "prepare";
        let plugin = &self.0;
        if u32::try_from(texts.len()).is_err() {
            return Err(plugin.failed(OPERATION, "there are more than 4294967295 rows"));
        }
        let prepared = Prepared {
            id: plugin.new_id(),
            token: Arc::default(),
            texts: columns::texts(texts)
                .map_err(|error| plugin.failed(OPERATION, error.to_string()))?,
            params: params.clone(),
            rows: texts.len(),
        };
        // Done here although a child is only needed by `fit`, so that what is wrong is told now.
        let mut lease = plugin.lease(prepared.id, context.cancel)?;
        lease.prepare(&prepared, context)?;
        Ok(Box::new(IsolatedCorpus { plugin: Arc::clone(plugin), prepared: Some(prepared) }))
    }

    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, ClassifierError> {
        const OPERATION: &str = "load";
        let plugin = &self.0;
        let cancel = lock(&plugin.cancel).clone();
        let mut lease = plugin.lease(0, &cancel)?;
        let model = plugin.new_id();
        let operation = Operation::Load { model };
        let (answer, _) =
            lease.call(operation, columns::bytes(bytes), NO_DATA, &cancel, &|_| {})?;
        let model = IsolatedModel {
            lease: Mutex::new(lease),
            plugin: Arc::clone(plugin),
            id: model,
            class_count: answer.class_count.unwrap_or_default(),
            cancel,
        };
        if model.class_count < 2 {
            let message = format!("returned a model of {} classes", model.class_count);
            return Err(plugin.broke(OPERATION, message));
        }
        Ok(Box::new(model))
    }
}

/// All that is needed to prepare a corpus in one more child.
struct Prepared {
    id: u64,
    /// Children hold it weakly: when it is gone, they release the corpus.
    token: Arc<()>,
    texts: Vec<RecordBatch>,
    params: Value,
    rows: usize,
}

struct IsolatedCorpus {
    plugin: Arc<Isolated>,
    /// `None` while it is dropped only.
    prepared: Option<Prepared>,
}

impl IsolatedCorpus {
    fn prepared(&self) -> &Prepared {
        self.prepared.as_ref().expect("a corpus is whole until it is dropped")
    }

    fn check_rows(&self, rows: &[u32], operation: &'static str) -> Result<(), ClassifierError> {
        crate::check_rows(rows, self.prepared().rows)
            .map_err(|message| self.plugin.failed(operation, message))
    }
}

impl Corpus for IsolatedCorpus {
    fn fit(
        &self,
        request: FitRequest<'_>,
        context: CallContext<'_>,
    ) -> Result<Box<dyn Model>, ClassifierError> {
        self.check_rows(request.rows, "fit")?;
        let prepared = self.prepared();
        let mut lease = self.plugin.lease(prepared.id, context.cancel)?;
        lease.prepare(prepared, CallContext { progress: &|_| {}, ..context })?;
        let model = self.plugin.new_id();
        let operation = Operation::Fit {
            corpus: prepared.id,
            model,
            class_count: request.class_count,
            seed: request.seed,
            threads: context.threads,
        };
        let columns = columns::training(&request);
        lease.call(operation, columns, NO_DATA, context.cancel, context.progress)?;
        Ok(Box::new(IsolatedModel {
            lease: Mutex::new(lease),
            plugin: Arc::clone(&self.plugin),
            id: model,
            class_count: request.class_count,
            cancel: context.cancel.clone(),
        }))
    }

    fn predict(
        &self,
        model: &dyn Model,
        rows: &[u32],
        context: CallContext<'_>,
    ) -> Result<Vec<f32>, ClassifierError> {
        const OPERATION: &str = "predict";
        self.check_rows(rows, OPERATION)?;
        let plugin = &self.plugin;
        let model = model
            .as_any()
            .downcast_ref::<IsolatedModel>()
            .filter(|model| Arc::ptr_eq(&model.plugin, plugin))
            .ok_or_else(|| plugin.failed(OPERATION, "the model is of another plugin"))?;
        let prepared = self.prepared();
        let mut lease = lock(&model.lease);
        lease.prepare(prepared, CallContext { progress: &|_| {}, ..context })?;
        let operation =
            Operation::Predict { corpus: prepared.id, model: model.id, threads: context.threads };
        let classes = model.class_count as usize;
        // Validity bits and padding come on top of the values.
        let values = (rows.len() as u64).saturating_mul(4 * classes as u64);
        let room = values.saturating_add(values / 8).saturating_add(1 << 20);
        let columns = columns::rows(rows);
        let (_, answer) = lease.call(operation, columns, room, context.cancel, context.progress)?;
        columns::read_scores(&answer, rows.len(), classes)
            .and_then(|values| normalised(&values, classes))
            .map_err(|reason| plugin.broke(OPERATION, reason))
    }
}

impl Drop for IsolatedCorpus {
    fn drop(&mut self) {
        self.prepared = None;
        self.plugin.release_unused_corpora();
    }
}

struct IsolatedModel {
    /// A child can do one thing at a time.
    lease: Mutex<Lease>,
    plugin: Arc<Isolated>,
    id: u64,
    class_count: u32,
    /// That of the call that made it, for `save`, which has none.
    cancel: Cancel,
}

impl Model for IsolatedModel {
    fn class_count(&self) -> u32 {
        self.class_count
    }

    fn save(&self) -> Result<Vec<u8>, ClassifierError> {
        const OPERATION: &str = "save";
        let operation = Operation::Save { model: self.id };
        let room = self.plugin.setting.memory();
        let mut lease = lock(&self.lease);
        let (_, answer) = lease.call(operation, Ok(Vec::new()), room, &self.cancel, &|_| {})?;
        columns::read_bytes(&answer)
            .map_err(|reason| self.plugin.broke(OPERATION, format!("returned no bytes: {reason}")))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for IsolatedModel {
    fn drop(&mut self) {
        let release = Operation::Release { corpus: None, model: Some(self.id) };
        lock(&self.lease).child().release(release);
    }
}
