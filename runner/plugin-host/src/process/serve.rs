//! The child's side of the protocol for a library: requests are answered by the plugin's table.
//! Knows nothing of limits or of how the process was started.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use engine::classifier::{
    CallContext, Cancel, Classifier, ClassifierError, FitRequest, Isolation, Model, Transport,
};
use serde::{Deserialize, Serialize};

use super::columns;
use super::protocol::{Answer, Described, Operation, PROTOCOL, Request, Status};
use super::wire::{self, Message, WireError};
use crate::classifier::{HostClassifier, HostCorpus, HostModel};
use crate::description::{About, Origin};
use crate::library::load_library;
use crate::lock;

/// The least time between two progress messages.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// Answers requests until `input` ends.
pub(crate) fn serve(library: &Path, input: File, output: File) -> Result<(), String> {
    let origin = Origin {
        digest: String::new(),
        location: library.display().to_string(),
        transport: Transport::Library,
        isolation: Isolation::Process,
    };
    let mut server = Server {
        output: Mutex::new(BufWriter::new(output)),
        // A library that is none is told to whoever asks, not to the terminal.
        plugin: load_library(library, &origin).map(HostClassifier::new),
        corpora: HashMap::new(),
        models: HashMap::new(),
    };
    let mut input = BufReader::with_capacity(64 << 10, input);
    loop {
        match wire::read_message(&mut input, &|| u64::MAX) {
            Ok(None) => return Ok(()),
            Ok(Some(message)) => {
                let request = Request::deserialize(&message.header)
                    .map_err(|error| format!("a request is wrong: {error}"))?;
                server.answer(request, &message)?;
            }
            Err(WireError::Io(error)) => return Err(format!("no request can be read: {error}")),
            Err(error) => return Err(format!("a request is no message: {error:?}")),
        }
    }
}

struct Server {
    output: Mutex<BufWriter<File>>,
    plugin: Result<HostClassifier, String>,
    corpora: HashMap<u64, HostCorpus>,
    models: HashMap<u64, HostModel>,
}

/// What a call gave, beside `ok`.
#[derive(Default)]
struct Given {
    class_count: Option<u32>,
    batches: Vec<RecordBatch>,
}

enum Refusal {
    Plugin(ClassifierError),
    /// The request is at fault.
    Request(String),
}

impl From<ClassifierError> for Refusal {
    fn from(error: ClassifierError) -> Refusal {
        Refusal::Plugin(error)
    }
}

impl From<String> for Refusal {
    fn from(text: String) -> Refusal {
        Refusal::Request(text)
    }
}

impl Server {
    fn answer(&mut self, request: Request, message: &Message) -> Result<(), String> {
        let number = request.request;
        if let Operation::Describe { .. } = request.operation {
            return match &self.plugin {
                Ok(plugin) => {
                    let about = About::from(plugin.description());
                    let answer = Answer { status: Some(Status::Ok), ..progress(number, None) };
                    self.send(
                        &Introduction {
                            answer,
                            described: Described { protocol: PROTOCOL, about },
                        },
                        &[],
                    )
                }
                Err(reason) => self.refuse(number, Status::Failed, reason.clone()),
            };
        }
        let word = request.operation.word();
        match self.call(number, request.operation, message) {
            Ok(given) => {
                let answer = Answer {
                    status: Some(Status::Ok),
                    class_count: given.class_count,
                    ..progress(number, None)
                };
                self.send(&answer, &given.batches)
            }
            Err(Refusal::Request(text)) => {
                self.refuse(number, Status::InvalidArgument, format!("{word}: {text}"))
            }
            Err(Refusal::Plugin(error)) => {
                let (status, text) = self.refusal(error);
                self.refuse(number, status, text)
            }
        }
    }

    /// The status of a plugin's error, and the words that the other side puts into its own.
    fn refusal(&self, error: ClassifierError) -> (Status, String) {
        let is_broken = self.plugin.as_ref().is_ok_and(HostClassifier::is_broken);
        match error {
            ClassifierError::Failed { message, .. } => (Status::Failed, message),
            ClassifierError::Contract { message, .. } if is_broken => (Status::Panicked, message),
            ClassifierError::Contract { message, .. } => (Status::Broken, message),
            other => (Status::Broken, other.to_string()),
        }
    }

    fn refuse(&self, request: u64, status: Status, message: String) -> Result<(), String> {
        let answer =
            Answer { status: Some(status), message: Some(message), ..progress(request, None) };
        self.send(&answer, &[])
    }

    fn send(&self, header: &impl Serialize, batches: &[RecordBatch]) -> Result<(), String> {
        let parts = wire::encode(header, batches)
            .map_err(|error| format!("an answer cannot be written: {error}"))?;
        let mut output = lock(&self.output);
        wire::write(&mut *output, &parts)
            .map_err(|error| format!("an answer cannot be sent: {error}"))
    }

    fn call(
        &mut self,
        number: u64,
        operation: Operation,
        message: &Message,
    ) -> Result<Given, Refusal> {
        let plugin = self.plugin.as_ref().map_err(Clone::clone)?;
        // Nobody asks this process to stop: it is killed.
        let cancel = Cancel::default();
        let throttle = Mutex::new(Instant::now());
        let tell = |share: f32| {
            let mut last = lock(&throttle);
            if last.elapsed() >= PROGRESS_EVERY {
                *last = Instant::now();
                // A parent that is gone is noticed at stdin.
                let _ = self.send(&progress(number, Some(share)), &[]);
            }
        };
        let context = |threads: usize| CallContext { progress: &tell, cancel: &cancel, threads };
        let no_corpus = |id: u64| Refusal::Request(format!("there is no corpus {id}"));
        let no_model = |id: u64| Refusal::Request(format!("there is no model {id}"));
        match operation {
            Operation::Describe { .. } => {}
            Operation::Prepare { corpus, params, threads } => {
                let texts = columns::read_texts(message)?;
                let prepared = plugin.prepare_corpus(&texts, &params, context(threads))?;
                self.corpora.insert(corpus, prepared);
            }
            Operation::Fit { corpus, model, class_count, seed, threads } => {
                let prepared = self.corpora.get(&corpus).ok_or_else(|| no_corpus(corpus))?;
                let rows = columns::read_integers(message, "rows")?;
                let labels = columns::read_integers(message, "labels")?;
                let weights = columns::read_weights(message)?;
                let weights = weights.as_deref();
                let request =
                    FitRequest { rows: &rows, labels: &labels, weights, class_count, seed };
                check_training(&request)?;
                let fitted = prepared.fit_model(request, context(threads))?;
                self.models.insert(model, fitted);
            }
            Operation::Predict { corpus, model, threads } => {
                let prepared = self.corpora.get(&corpus).ok_or_else(|| no_corpus(corpus))?;
                let model = self.models.get(&model).ok_or_else(|| no_model(model))?;
                let rows = columns::read_integers(message, "rows")?;
                // As they came: the other side checks them, and dividing twice changes bytes.
                let take = |values: &[f32], _| Ok(values.to_vec());
                let scores = prepared.scores(model, &rows, context(threads), take)?;
                let classes = model.class_count() as usize;
                let batches = columns::scores(scores, classes).map_err(|e| e.to_string())?;
                return Ok(Given { batches, class_count: None });
            }
            Operation::Save { model } => {
                let model = self.models.get(&model).ok_or_else(|| no_model(model))?;
                let batches = columns::bytes(&model.save()?).map_err(|e| e.to_string())?;
                return Ok(Given { batches, class_count: None });
            }
            Operation::Load { model } => {
                let loaded = plugin.load_model(&columns::read_bytes(message)?)?;
                let class_count = Some(loaded.class_count());
                self.models.insert(model, loaded);
                return Ok(Given { class_count, batches: Vec::new() });
            }
            Operation::Release { corpus, model } => {
                corpus.and_then(|id| self.corpora.remove(&id));
                model.and_then(|id| self.models.remove(&id));
            }
        }
        Ok(Given::default())
    }
}

/// What a library may rely on without looking.
fn check_training(request: &FitRequest<'_>) -> Result<(), String> {
    let rows = request.rows.len();
    if request.labels.len() != rows || request.weights.is_some_and(|w| w.len() != rows) {
        return Err("the columns differ in length".to_owned());
    }
    match request.labels.iter().find(|&&label| label >= request.class_count) {
        Some(label) => Err(format!("label {label} of {} classes", request.class_count)),
        None => Ok(()),
    }
}

fn progress(request: u64, progress: Option<f32>) -> Answer {
    Answer { request, progress, ..Answer::default() }
}

/// The answer to `describe`.
#[derive(Serialize)]
struct Introduction {
    #[serde(flatten)]
    answer: Answer,
    #[serde(flatten)]
    described: Described,
}
