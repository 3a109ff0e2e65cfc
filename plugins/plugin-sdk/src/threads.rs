//! Work on rows split over threads, with an answer that does not depend on how many there are.

use std::thread;

use crate::{Context, Error};

/// Rows a thread takes at least; fewer are not worth its start.
const ROWS_PER_THREAD: usize = 512;

/// Calls `work` with parts of `rows` and the scores that belong to them, side by side.
///
/// `scores` is row-major with `classes` values a row, as in [`crate::Classifier::predict`]. Each
/// row must be scored for itself: where parts begin depends on the number of threads.
pub fn for_each_part(
    rows: &[u32],
    scores: &mut [f32],
    classes: usize,
    context: &Context<'_>,
    work: impl Fn(&[u32], &mut [f32]) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let threads = context.threads().min(rows.len() / ROWS_PER_THREAD).max(1);
    if threads == 1 {
        return work(rows, scores);
    }
    let per_thread = rows.len().div_ceil(threads);
    thread::scope(|scope| {
        let parts = rows.chunks(per_thread).zip(scores.chunks_mut(per_thread * classes));
        let work = &work;
        let workers: Vec<_> =
            parts.map(|(rows, scores)| scope.spawn(move || work(rows, scores))).collect();
        workers.into_iter().try_for_each(join)
    })
}

/// Waits for a worker; its panic goes on in this thread, up to the guard at the boundary.
pub(crate) fn join<T>(worker: thread::ScopedJoinHandle<'_, T>) -> T {
    worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
