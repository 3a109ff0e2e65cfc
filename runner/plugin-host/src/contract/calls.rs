//! What goes on around a call: progress, cancellation, several calls at once.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use engine::classifier::{CallContext, Cancel, ClassifierError};

use super::data::Records;
use super::subject::{Failure, Lesson, Subject, With, quietly, same, texts_of, timed};
use super::{CheckResult, Verdict};
use crate::lock;

/// How long a call may go on after it was told to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a call under way is told to stop.
const HEAD_START: Duration = Duration::from_millis(5);

const ROWS: usize = 4000;

pub(super) fn progress(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(ROWS);
    let texts = texts_of(&records.texts);
    let heard = Mutex::new(Vec::new());
    let listen = |share: f32| lock(&heard).push(share);
    let cancel = Cancel::default();
    // One thread: the reports of several may arrive in another order than they were sent.
    let context = CallContext { progress: &listen, cancel: &cancel, threads: 1 };
    let steady = |operation: &str| -> Result<(), Failure> {
        let shares = std::mem::take(&mut *lock(&heard));
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(Failure::new(format!("{operation} reported {share}")));
        }
        match shares.windows(2).find(|pair| pair[1] < pair[0]) {
            Some(pair) => {
                let text = format!("{operation} reported {}, then {}", pair[0], pair[1]);
                Err(Failure::new(text))
            }
            None => Ok(()),
        }
    };
    let corpus = subject.plugin.prepare(&texts, &subject.params, context)?;
    steady("prepare")?;
    let model = corpus.fit(records.lesson().request(), context)?;
    steady("fit")?;
    corpus.predict(&*model, &records.held_out(), context)?;
    steady("predict")?;
    Ok(Verdict::Passed)
}

pub(super) fn cancel(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(ROWS);
    let texts = texts_of(&records.texts);
    let lesson = records.lesson();
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    for (when, head_start) in [("before it began", None), ("while it ran", Some(HEAD_START))] {
        // A cancelled process may be gone, so each call gets a corpus of its own.
        stops(&format!("prepare, cancelled {when}"), head_start, |context| {
            subject.plugin.prepare(&texts, &subject.params, context).map(drop)
        })?;
        let corpus = subject.prepare(&records.texts, 2)?;
        stops(&format!("fit, cancelled {when}"), head_start, |context| {
            corpus.fit(lesson.request(), context).map(drop)
        })?;
        let corpus = subject.prepare(&records.texts, 2)?;
        let model = subject.fit(&*corpus, &lesson, 2)?;
        stops(&format!("predict, cancelled {when}"), head_start, |context| {
            corpus.predict(&*model, &rows, context).map(drop)
        })?;
    }
    subject.fold(&Records::easy(50), 1).with("calls after cancelled ones")?;
    Ok(Verdict::Passed)
}

/// Cancels a call at once or after a head start; it has to end soon, in success or as cancelled.
fn stops(
    what: &str,
    head_start: Option<Duration>,
    call: impl FnOnce(CallContext<'_>) -> Result<(), ClassifierError>,
) -> Result<(), Failure> {
    let cancel = Cancel::default();
    let context = CallContext { progress: &|_| {}, cancel: &cancel, threads: 2 };
    let (result, took) = thread::scope(|scope| {
        match head_start {
            None => cancel.cancel(),
            Some(head_start) => {
                let cancel = cancel.clone();
                scope.spawn(move || {
                    thread::sleep(head_start);
                    cancel.cancel();
                });
            }
        }
        timed(|| call(context))
    });
    match result {
        Ok(()) | Err(ClassifierError::Cancelled) => {}
        Err(error) => return Err(error).with(what),
    }
    if took > PATIENCE {
        let seconds = took.as_secs_f64();
        return Err(Failure::new(format!("{what}, went on for {seconds:.1} s")));
    }
    Ok(())
}

pub(super) fn concurrent(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(1000);
    let corpus = subject.prepare(&records.texts, 1)?;
    // Two folds that learn from different rows.
    let lessons: Vec<Lesson> = (0..2)
        .map(|fold| {
            let rows: Vec<u32> = (0..1000).filter(|row| row % 2 != fold).collect();
            let labels = rows.iter().map(|&row| records.labels[row as usize]).collect();
            Lesson { rows, labels, weights: None, classes: records.classes }
        })
        .collect();
    let asked: Vec<u32> = (0..1000).collect();
    let work = |lesson: &Lesson| -> Result<(Vec<u8>, Vec<f32>), ClassifierError> {
        quietly(1, |context| {
            let model = corpus.fit(lesson.request(), context)?;
            Ok((model.save()?, corpus.predict(&*model, &asked, context)?))
        })
    };
    let one_by_one =
        lessons.iter().map(work).collect::<Result<Vec<_>, _>>().with("one call after another")?;
    for _ in 0..3 {
        let at_once: Vec<Result<_, ClassifierError>> = thread::scope(|scope| {
            let workers: Vec<_> =
                lessons.iter().map(|lesson| scope.spawn(|| work(lesson))).collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
        });
        if at_once.len() != lessons.len() {
            return Err(Failure::new("a thread that called it panicked"));
        }
        for (alone, together) in one_by_one.iter().zip(at_once) {
            let together = together.with("two calls at once")?;
            same("the saved model", &alone.0, &together.0).with("two calls at once")?;
            same("the scores", &alone.1, &together.1).with("two calls at once")?;
        }
    }
    Ok(Verdict::Passed)
}
