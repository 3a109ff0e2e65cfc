//! Bounds what `linear` allocates, so that it cannot get dearer unseen: how often, and how much at
//! once. One test: the counters belong to the whole process.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use classifier_linear::Linear;
use plugin_sdk::{Classifier, Context, Texts, Training};

#[path = "../examples/fixed_work/work.rs"]
mod work;

/// Counts, and leaves the work to the system.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is the same, and the system's allocator made it.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Calls of the allocator, and most bytes on top of what was there before.
#[derive(Debug, Clone, Copy)]
struct Cost {
    calls: usize,
    bytes: usize,
}

fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (calls, live) = (CALLS.load(Relaxed), LIVE.load(Relaxed));
    PEAK.store(live, Relaxed);
    let result = work();
    let bytes = PEAK.load(Relaxed) - live;
    (result, Cost { calls: CALLS.load(Relaxed) - calls, bytes })
}

/// Costs of prepare, fit and predict, and the words of all texts.
fn costs(rows: usize) -> ([Cost; 3], usize) {
    let work = work::work(rows);
    let texts = Texts::new(&work.offsets, &work.text).unwrap();
    let quiet = Context::quiet();
    let (corpus, prepare) = cost(|| Linear::prepare(Default::default(), &texts, &quiet).unwrap());
    let all: Vec<u32> = (0..rows as u32).collect();
    let training = Training {
        rows: &all,
        labels: &work.labels,
        weights: None,
        class_count: work::CLASSES,
        seed: 1,
    };
    let (model, fit) = cost(|| Linear::fit(&corpus, &training, &quiet).unwrap());
    let mut scores = vec![0.0; rows * work::CLASSES];
    let ((), predict) =
        cost(|| Linear::predict(&corpus, &model, &all, &mut scores, &quiet).unwrap());
    ([prepare, fit, predict], work.text.split(' ').count())
}

#[test]
fn allocations_are_few_and_bounded() {
    // The first call finds out what the processor can do.
    costs(10);
    let (small, _) = costs(2000);
    let (large, words) = costs(16_000);
    for (name, small, large) in [
        ("prepare", small[0], large[0]),
        ("fit", small[1], large[1]),
        ("predict", small[2], large[2]),
    ] {
        // Eight times the rows double the vectors that grow three times, and no row has its own.
        assert!(large.calls < small.calls + 40, "{name} {small:?} {large:?}");
        assert!(large.calls < 150, "{name} {large:?}");
    }
    let [prepare, fit, predict] = large.map(|cost| cost.bytes);
    // Entries take 6 bytes and grow by doubling, the old ones being there while they are copied.
    assert!(prepare < 20 * words, "prepare takes {prepare} bytes for {words} words");
    // Entries take 8 bytes; dual vectors of twelve classes 64 a row, its order and weight the rest.
    // The weights, the idf and the held-out logits do not grow with the rows.
    let most = 8 * words + 110 * 16_000 + 600_000;
    assert!(fit < most, "fit takes {fit} bytes for {words} words, more than {most}");
    assert!(predict < 1_000_000, "predict takes {predict} bytes");
}
