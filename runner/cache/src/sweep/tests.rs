//! Sweeps beside what others do.

use super::*;
use crate::store::tests::put;

struct Bench {
    _folder: tempfile::TempDir,
    cache: Cache,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache"));
        cache.prepare().unwrap();
        Bench { _folder: folder, cache }
    }

    fn put(&self, key: &str, bytes: &[u8]) -> UnitRecord {
        put(&self.cache, key, bytes)
    }

    fn sweep(&self, inventory: &Inventory, records: &[&UnitRecord]) -> Sweep {
        let keys = records.iter().map(|record| record.key).collect();
        self.cache.sweep(inventory, &keys, &BTreeSet::new(), &[]).unwrap()
    }
}

#[test]
fn a_blob_goes_with_its_last_record() {
    let bench = Bench::new();
    let (a, b) = (bench.put("a", b"same"), bench.put("b", b"same"));
    let inventory = bench.cache.inventory().unwrap();
    let sweep = bench.sweep(&inventory, &[&a]);
    assert_eq!((sweep.records, sweep.blobs), (1, 0));
    assert!(bench.cache.record(&a.key).is_none() && bench.cache.is_whole(&b));
    let sweep = bench.sweep(&bench.cache.inventory().unwrap(), &[&b]);
    assert_eq!((sweep.records, sweep.blobs), (1, 1));
    assert!(bench.cache.inventory().unwrap().blobs.is_empty());
}

#[test]
fn what_is_used_after_the_inventory_is_spared() {
    let bench = Bench::new();
    let (a, b) = (bench.put("a", b"one"), bench.put("b", b"two"));
    let inventory = bench.cache.inventory().unwrap();
    assert!(bench.cache.use_record(&a));
    let sweep = bench.sweep(&inventory, &[&a, &b]);
    assert_eq!((sweep.records, sweep.spared), (1, 1));
    assert!(bench.cache.is_whole(&a) && bench.cache.record(&b.key).is_none());
    assert!(!bench.cache.use_record(&b), "it is gone, and said so");
}

#[test]
fn a_blob_that_is_published_again_is_spared() {
    let bench = Bench::new();
    let a = bench.put("a", b"same");
    let inventory = bench.cache.inventory().unwrap();
    // Another unit gives the same bytes: its record comes after the inventory.
    let b = bench.put("b", b"same");
    let sweep = bench.sweep(&inventory, &[&a]);
    assert_eq!((sweep.records, sweep.blobs), (1, 0));
    assert!(bench.cache.is_whole(&b));
}

#[test]
fn a_key_that_is_being_computed_is_spared() {
    let bench = Bench::new();
    let a = bench.put("a", b"one");
    let inventory = bench.cache.inventory().unwrap();
    let _lock = bench.cache.lock(&a.key, "somebody").unwrap();
    assert_eq!(bench.sweep(&inventory, &[&a]), Sweep { spared: 1, ..Sweep::default() });
}

#[test]
fn a_record_is_never_published_over_a_blob_that_is_gone() {
    let bench = Bench::new();
    let a = bench.put("a", b"one");
    bench.cache.remove_blob(&a.outputs[0].blobs[0].blob);
    let error = bench.cache.put_record(&a).unwrap_err().to_string();
    assert!(error.contains("no longer there"), "{error}");
}

#[test]
fn runs_hold_locks_and_leave_none_behind() {
    let bench = Bench::new();
    let lock = bench.cache.lock_run("r1", "me").unwrap();
    let runs = bench.cache.runs_in_progress().unwrap();
    assert_eq!(runs.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(), ["r1"]);
    assert_eq!(bench.cache.remove_stale_locks(i128::MAX), 0);
    drop(lock);
    assert!(bench.cache.runs_in_progress().unwrap().is_empty());
    std::fs::write(bench.cache.folder().join("locks/run-dead"), "").unwrap();
    assert!(bench.cache.runs_in_progress().unwrap().is_empty());
    assert_eq!(bench.cache.remove_stale_locks(i128::MAX), 1);
    let sweep = bench.cache.lock_sweep("first").unwrap().unwrap();
    assert_eq!(bench.cache.lock_sweep("second").unwrap().unwrap_err(), "first");
    drop(sweep);
}

#[test]
fn unfinished_files_and_old_records_are_strays() {
    let bench = Bench::new();
    bench.put("a", b"one");
    let old = bench.cache.folder().join("records-v1/ab");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join("cd.json"), "{}").unwrap();
    let left = bench.cache.folder().join("objects-v1/.tmp-1234");
    std::fs::write(&left, "half").unwrap();
    let inventory = bench.cache.inventory().unwrap();
    assert_eq!((inventory.records.len(), inventory.blobs.len()), (1, 1));
    assert_eq!(inventory.strays.len(), 2);
    let none = BTreeSet::new();
    let sweep = bench.cache.sweep(&inventory, &none, &none, &inventory.strays).unwrap();
    assert_eq!((sweep.strays, sweep.bytes, left.exists()), (2, 6, false));
    assert!(!old.join("cd.json").exists());
}
