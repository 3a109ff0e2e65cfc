//! One child process and the calls made to it, one at a time: request out, answer in, with a
//! deadline and a flag that ends the wait. Knows the protocol; whose plugin it is, others know.

use std::collections::VecDeque;
use std::io::BufReader;
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use engine::classifier::{Cancel, LastLines};

use super::protocol::{Answer, Operation, Request, Status};
use super::spawn::{self, Process};
use super::tail::{Tail, harmless};
use super::wire::{self, Message, WireError};

/// How often the flag and the deadline are looked at while an answer is awaited.
const LOOK: Duration = Duration::from_millis(20);
/// How long a child whose output has ended may take to end itself, so that it can be said how.
const TO_END: Duration = Duration::from_secs(2);
/// How long the rest of its stderr may take after that.
const TO_SPEAK: Duration = Duration::from_millis(300);
/// Messages that may wait to be looked at; a child that sends more has to wait itself.
const WAITING: usize = 16;
/// Room for an answer without data, which still may come with empty buffers.
pub(crate) const NO_DATA: u64 = 64 << 10;

/// What a call may take and whom it tells.
pub(crate) struct Wait<'a> {
    pub seconds: u64,
    pub cancel: &'a Cancel,
    pub progress: &'a (dyn Fn(f32) + Send + Sync),
}

/// Why a call gave no answer that is ok. After all but `Refused` the child is dead.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The plugin answered; the child goes on, unless it panicked.
    Refused {
        status: Status,
        message: String,
    },
    /// It said what it must not say.
    Protocol(String),
    Crashed {
        ending: String,
        may_be_memory: bool,
        last_lines: LastLines,
    },
    TimedOut {
        last_lines: LastLines,
    },
    Cancelled,
}

enum Incoming {
    Message(Message),
    End,
    Wrong(WireError),
}

pub(crate) struct Child {
    process: Process,
    /// To the writer thread; dropping it closes the child's stdin.
    requests: Sender<Vec<Buffer>>,
    answers: Receiver<Incoming>,
    /// Bytes of data that the reader thread takes in one message.
    body_limit: Arc<AtomicU64>,
    tail: Arc<Tail>,
    last_request: u64,
    /// Releases whose answers have not come yet.
    unanswered: VecDeque<u64>,
    /// Not to be called again.
    spent: bool,
    /// Prepared here, by id, as long as somebody holds the token.
    corpora: Vec<(u64, Weak<()>)>,
}

impl Child {
    pub fn start(command: Command) -> std::io::Result<Child> {
        let mut process = spawn::spawn(command)?;
        let pipes =
            (process.child.stdin.take(), process.child.stdout.take(), process.child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(std::io::Error::other("the child has no pipes"));
        };
        let tail = Arc::new(Tail::default());
        let body_limit = Arc::new(AtomicU64::new(NO_DATA));
        let (requests, to_write) = channel();
        let (incoming, answers) = sync_channel(WAITING);
        let named = |name: &str| thread::Builder::new().name(format!("plugin-{name}"));
        named("stdin").spawn(move || write_requests(stdin, &to_write))?;
        let limit = Arc::clone(&body_limit);
        named("stdout").spawn(move || read_answers(stdout, &limit, &incoming))?;
        let stderr_tail = Arc::clone(&tail);
        named("stderr").spawn(move || stderr_tail.read(stderr))?;
        Ok(Child {
            process,
            requests,
            answers,
            body_limit,
            tail,
            last_request: 0,
            unanswered: VecDeque::new(),
            spent: false,
            corpora: Vec::new(),
        })
    }

    pub fn is_spent(&self) -> bool {
        self.spent
    }

    pub fn has_corpus(&self, id: u64) -> bool {
        self.corpora.iter().any(|(known, _)| *known == id)
    }

    pub fn add_corpus(&mut self, id: u64, token: Weak<()>) {
        self.corpora.push((id, token));
    }

    /// Releases every corpus that nobody holds any more.
    pub fn release_unused_corpora(&mut self) {
        let (unused, kept) = std::mem::take(&mut self.corpora)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, token)| token.strong_count() == 0);
        self.corpora = kept;
        for (id, _) in unused {
            self.release(Operation::Release { corpus: Some(id), model: None });
        }
    }

    /// Sends a release and does not wait: its answer is looked at before that of the next call.
    pub fn release(&mut self, operation: Operation) {
        if self.spent {
            return;
        }
        match self.send(operation, &[]) {
            Ok(request) => self.unanswered.push_back(request),
            Err(_) => self.spent = true,
        }
    }

    /// Makes a call and waits for its answer, which may hold `room` bytes of data.
    pub fn call(
        &mut self,
        operation: Operation,
        columns: &[RecordBatch],
        room: u64,
        wait: &Wait<'_>,
    ) -> Result<(Answer, Message), CallError> {
        if self.spent {
            return Err(CallError::Protocol("its process was ended after an earlier call".into()));
        }
        let result = self.send_and_wait(operation, columns, room, wait);
        self.body_limit.store(NO_DATA, Ordering::Release);
        match &result {
            Ok(_) => {}
            Err(CallError::Refused { status, .. }) => self.spent |= *status == Status::Panicked,
            Err(_) => {
                self.spent = true;
                self.process.kill();
            }
        }
        result
    }

    fn send(&mut self, operation: Operation, columns: &[RecordBatch]) -> Result<u64, String> {
        let request = self.last_request + 1;
        let parts = wire::encode(&Request { request, operation }, columns)
            .map_err(|error| format!("the request cannot be written: {error}"))?;
        self.last_request = request;
        // A writer that is gone has met a closed pipe; how the child ended is told by the reader.
        let _ = self.requests.send(parts);
        Ok(request)
    }

    fn send_and_wait(
        &mut self,
        operation: Operation,
        columns: &[RecordBatch],
        room: u64,
        wait: &Wait<'_>,
    ) -> Result<(Answer, Message), CallError> {
        self.body_limit.store(room.max(NO_DATA), Ordering::Release);
        let deadline = Instant::now().checked_add(Duration::from_secs(wait.seconds));
        let request = self.send(operation, columns).map_err(CallError::Protocol)?;
        loop {
            if wait.cancel.is_cancelled() {
                return Err(CallError::Cancelled);
            }
            let left = deadline.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                self.process.kill();
                return Err(CallError::TimedOut { last_lines: self.tail.last_lines(TO_SPEAK) });
            }
            let message = match self.answers.recv_timeout(left.min(LOOK)) {
                Ok(Incoming::Message(message)) => message,
                Err(RecvTimeoutError::Timeout) => {
                    // What it started may keep its stdout open; this ends them with it.
                    self.process.wait(Duration::ZERO);
                    continue;
                }
                Ok(Incoming::Wrong(error)) => return Err(self.unreadable(error)),
                Ok(Incoming::End) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.ended("its output ended without an answer"));
                }
            };
            let answer = Answer::read(&message.header).map_err(CallError::Protocol)?;
            if let Some(answer) = self.take(answer, request, wait)? {
                return Ok((answer, message));
            }
        }
    }

    /// Gives the answer to `request`; `None` for what comes before it.
    fn take(
        &mut self,
        answer: Answer,
        request: u64,
        wait: &Wait<'_>,
    ) -> Result<Option<Answer>, CallError> {
        let expected = self.unanswered.front().copied().unwrap_or(request);
        if answer.request != expected {
            let given = answer.request;
            let text = format!("answered request {given}, and {expected} was asked");
            return Err(CallError::Protocol(text));
        }
        match (answer.progress, answer.status) {
            (Some(share), None) => {
                if expected == request {
                    (wait.progress)(if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) });
                }
                Ok(None)
            }
            (_, None) => Err(CallError::Protocol("gave an answer without a status".to_owned())),
            (_, Some(status)) if expected != request => {
                self.unanswered.pop_front();
                // The call at hand is not to blame; afterwards another process is taken.
                self.spent |= status != Status::Ok;
                Ok(None)
            }
            (_, Some(Status::Ok)) => Ok(Some(answer)),
            (_, Some(status)) => {
                let message = answer.message.unwrap_or_else(|| "no message".to_owned());
                let lines: Vec<String> = message.lines().map(harmless).collect();
                let message = lines.join("\n");
                Err(CallError::Refused { status, message })
            }
        }
    }

    /// What is on its stdout is no message. A child that died while it wrote has crashed.
    fn unreadable(&mut self, error: WireError) -> CallError {
        match error {
            WireError::Junk(first) => {
                let first = harmless(&String::from_utf8_lossy(&first));
                CallError::Protocol(format!(
                    "wrote what is no message to stdout, where only answers belong: `{first}`"
                ))
            }
            WireError::Malformed(reason) => {
                CallError::Protocol(format!("sent a message that is not sound: {reason}"))
            }
            WireError::BrokenOff => self.ended("its output ended in the middle of a message"),
            WireError::Io(error) => self.ended(&format!("its output cannot be read: {error}")),
        }
    }

    /// Its output has ended: says how it died, or that it lives and is silent.
    fn ended(&mut self, otherwise: &str) -> CallError {
        let Some(status) = self.process.wait(TO_END) else {
            return CallError::Protocol(otherwise.to_owned());
        };
        let mut ending = spawn::ending(status);
        if status.success() {
            ending = format!("{ending}, {otherwise}");
        }
        CallError::Crashed {
            ending,
            may_be_memory: spawn::may_be_memory(status),
            last_lines: self.tail.last_lines(TO_SPEAK),
        }
    }
}

fn write_requests(mut stdin: ChildStdin, requests: &Receiver<Vec<Buffer>>) {
    for parts in requests {
        if wire::write(&mut stdin, &parts).is_err() {
            return;
        }
    }
}

fn read_answers(stdout: ChildStdout, body_limit: &AtomicU64, answers: &SyncSender<Incoming>) {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    let limit = || body_limit.load(Ordering::Acquire);
    loop {
        let incoming = match wire::read_message(&mut stdout, &limit) {
            Ok(Some(message)) => Incoming::Message(message),
            Ok(None) => Incoming::End,
            Err(error) => Incoming::Wrong(error),
        };
        let goes_on = matches!(incoming, Incoming::Message(_));
        if answers.send(incoming).is_err() || !goes_on {
            return;
        }
    }
}
