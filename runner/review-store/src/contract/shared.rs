//! The contract on several connections to one store, as several processes would have.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Opener;
use super::support::*;
use crate::{Decision, NewDecision, NewItem};

pub(crate) fn a_store_outlives_its_connections(opener: &impl Opener) {
    let store = opener.connect();
    let batch = items(&["r1", "r2"]);
    let digest = store.queue_items(QUEUE, "run-a", &batch).unwrap().batch_digest;
    let head = record(&*store, &[decision("r1", Decision::Accept, 0)]).head;
    drop(store);
    let store = opener.connect();
    assert!(store.holds_batch(QUEUE, &digest).unwrap());
    assert_eq!(store.ledger_head().unwrap(), head);
    assert_eq!(open_ids(&*store), ["r2"]);
}

pub(crate) fn several_may_open_a_new_store_at_once(opener: &impl Opener) {
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    assert!(opener.connect().verify().unwrap().is_intact());
                }
            });
        }
    });
}

pub(crate) fn concurrent_importers_lose_nothing(opener: &impl Opener) {
    const WORKERS: u32 = 4;
    const EACH: u32 = 15;
    let ids: Vec<String> = (0..WORKERS * EACH).map(|n| format!("r{n}")).collect();
    let batch: Vec<NewItem> = ids.iter().map(|id| item(id)).collect();
    opener.connect().queue_items(QUEUE, "run-a", &batch).unwrap();
    let common: Vec<NewDecision> =
        (0..EACH).map(|n| decision(&ids[n as usize], Decision::Unsure, n)).collect();

    let recorded: u64 = thread::scope(|scope| {
        let importer = |worker: u32| {
            let (ids, common) = (&ids, &common);
            move || {
                let store = opener.connect();
                let mut recorded = record(&*store, common).recorded;
                for n in 0..EACH {
                    let id = &ids[(worker * EACH + n) as usize];
                    let new = decision(id, Decision::Accept, 100 + n);
                    recorded += record(&*store, &[new]).recorded;
                }
                recorded
            }
        };
        let importers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(importer(worker))).collect();
        // A run queues the same batch all the while.
        scope.spawn(|| {
            let store = opener.connect();
            (0..10).for_each(|_| assert_eq!(queue(&*store, "run-a", &batch)[..2], [0, 0]));
        });
        importers.into_iter().map(|importer| importer.join().unwrap()).sum()
    });
    assert_eq!(recorded, u64::from(EACH + WORKERS * EACH));
    let store = opener.connect();
    assert_eq!(store.ledger_head().unwrap().seq, recorded);
    assert!(store.verify().unwrap().is_intact());
    let status = store.status(Some(QUEUE)).unwrap();
    assert_eq!(status.queues[0].decided, u64::from(WORKERS * EACH));
}

pub(crate) fn readers_see_whole_batches_only(opener: &impl Opener) {
    let store = opener.connect();
    queue(&*store, "run-a", &items(&["r1", "r2", "r3"]));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let reader = opener.connect();
            while !done.load(Ordering::Relaxed) {
                assert_eq!(reader.ledger_head().unwrap().seq % 3, 0);
                assert!(reader.verify().unwrap().is_intact());
                assert!(reader.open_items(QUEUE, None).unwrap().len() != 1);
            }
        });
        for second in 0..20 {
            let kind = if second % 2 == 0 { Decision::Keep } else { Decision::Undo };
            record(&*store, &["r1", "r2", "r3"].map(|id| decision(id, kind, second)));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(store.ledger_head().unwrap().seq, 60);
}
