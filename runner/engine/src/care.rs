//! Care of the cache: what is in it and why, what may go, what is damaged.
//!
//! What may never go is what the last runs of each pipeline recorded, and whatever a run that is on
//! has used. How a thing is removed while others use the cache is the crate `cache`'s business.

use std::collections::{BTreeMap, BTreeSet};

use cache::{Cache, CacheError, Digest, Inventory, RecordEntry, Sweep, UnitRecord};
use serde_json::Value;

use crate::history::History;

mod runs;

pub use runs::RunRemoval;

/// What a gc is asked for.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions {
    /// What the last so many runs of each pipeline used is kept.
    pub keep_runs: usize,
    /// Remove the records of all but the last so many runs of each pipeline, and never of those
    /// that results are kept for; without it all of them stay.
    pub keep_records: Option<usize>,
    /// Stop removing when the cache is this small; without it all that nothing keeps goes.
    pub max_bytes: Option<u64>,
    /// Remove only what has not been used for so long.
    pub unused_for_ns: i128,
    /// What no record names, and files that were never finished, are left alone for so long.
    pub stray_age_ns: i128,
    pub now_ns: i128,
}

/// A record that is to go, with the blobs that nothing else needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal {
    pub key: Digest,
    /// The unit, as the last run that used it called it.
    pub unit: String,
    /// Size of the record and of the blobs that go with it.
    pub bytes: u64,
    pub used_ns: i128,
    /// Seconds it took to make; absent if its record cannot be read.
    pub seconds: Option<f64>,
}

/// What a gc would do.
#[derive(Debug)]
pub struct GcPlan {
    inventory: Inventory,
    /// Least recently used first.
    pub removals: Vec<Removal>,
    orphans: BTreeSet<Digest>,
    strays: Vec<cache::Stray>,
    stale_before_ns: i128,
    /// Blobs without a record, and unfinished files, with their bytes.
    pub loose_files: u64,
    pub loose_bytes: u64,
    /// Bytes in the cache now, and when the plan has been carried out.
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Records that are kept because runs of the past or of now use them.
    pub kept_by_runs: u64,
    pub runs_in_progress: Vec<String>,
    /// Records of runs that are to go, oldest first; their bytes are not among those above.
    pub run_records: Vec<RunRemoval>,
}

/// What a gc has removed.
#[derive(Debug, Default, Clone, Copy)]
pub struct GcDone {
    pub sweep: Sweep,
    pub run_records: u64,
    pub run_record_bytes: u64,
}

/// What a cache holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CacheStatus {
    pub records: u64,
    pub unreadable_records: u64,
    pub record_bytes: u64,
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Blobs that no record names.
    pub orphans: u64,
    pub orphan_bytes: u64,
    pub unfinished_files: u64,
    pub unfinished_bytes: u64,
    pub runs: u64,
    /// Seconds it took to make all that is there.
    pub seconds: f64,
    /// By node kind: records, bytes of their blobs (shared ones count for each), seconds.
    pub kinds: BTreeMap<String, (u64, u64, f64)>,
    pub runs_in_progress: Vec<String>,
}

/// Something in the cache that is not what it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Damage {
    pub unit: String,
    pub key: Digest,
    /// What is wrong, such as `port `rejected` is damaged`.
    pub what: String,
    blobs: Vec<Digest>,
}

/// What a verification found.
#[derive(Debug)]
pub struct VerifyReport {
    pub records: u64,
    pub blobs: u64,
    pub bytes: u64,
    pub damages: Vec<Damage>,
    inventory: Inventory,
}

/// Names of units by key, as the last run that used them called them.
fn names(history: &History) -> BTreeMap<Digest, String> {
    let mut names = BTreeMap::new();
    for run in history.runs() {
        for unit in &run.units {
            if let Some(key) = unit.key {
                names.insert(key, format!("{}/{}", run.pipeline, unit.name()));
            }
        }
    }
    names
}

/// The name of a unit; the kind and part from its facts if no run is left that used it.
fn name_of(names: &BTreeMap<Digest, String>, entry: &RecordEntry) -> String {
    if let Some(name) = names.get(&entry.key) {
        return name.clone();
    }
    match &entry.record {
        Some(record) => match record.facts.get("unit") {
            Some(Value::String(part)) if part != "whole" => format!("{} {part}", record.kind),
            _ => record.kind.clone(),
        },
        None => format!("key {}", entry.key.short()),
    }
}

fn blobs_of(entry: &RecordEntry) -> impl Iterator<Item = Digest> {
    let blobs = entry.record.iter().flat_map(UnitRecord::blobs);
    let blobs: BTreeSet<Digest> = blobs.map(|blob| blob.blob).collect();
    blobs.into_iter()
}

/// Counts what is there.
pub fn status(cache: &Cache) -> Result<CacheStatus, CacheError> {
    let inventory = cache.inventory()?;
    let mut status = CacheStatus::default();
    let mut named = BTreeSet::new();
    for entry in inventory.records.values() {
        status.records += 1;
        status.record_bytes += entry.bytes;
        named.extend(blobs_of(entry));
        let Some(record) = &entry.record else {
            status.unreadable_records += 1;
            continue;
        };
        status.seconds += record.seconds;
        let kind = status.kinds.entry(record.kind.clone()).or_default();
        kind.0 += 1;
        kind.1 += record.blobs().map(|blob| blob.bytes).sum::<u64>();
        kind.2 += record.seconds;
    }
    for (digest, blob) in &inventory.blobs {
        status.blobs += 1;
        status.blob_bytes += blob.bytes;
        if !named.contains(digest) {
            status.orphans += 1;
            status.orphan_bytes += blob.bytes;
        }
    }
    status.unfinished_files = inventory.strays.len() as u64;
    status.unfinished_bytes = inventory.strays.iter().map(|stray| stray.bytes).sum();
    status.runs = History::at(cache.folder()).run_ids().len() as u64;
    status.runs_in_progress = cache.runs_in_progress()?.into_iter().map(|run| run.run_id).collect();
    Ok(status)
}

/// Keys that the last `keep` runs of each pipeline recorded, and those of runs in progress.
fn roots(history: &History, keep: usize, in_progress: &[String]) -> BTreeSet<Digest> {
    let mut kept: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut roots = BTreeSet::new();
    for run in history.runs().iter().rev() {
        let place = run.header["base_dir"].as_str().unwrap_or_default().to_owned();
        let count = kept.entry((run.pipeline.clone(), place)).or_default();
        if *count < keep || in_progress.contains(&run.run_id) {
            roots.extend(run.units.iter().filter_map(|unit| unit.key));
        }
        *count += 1;
    }
    roots
}

/// Decides what may go. The inventory comes first, so that whatever a run takes into use after it
/// shows marks of its own.
pub fn plan_gc(cache: &Cache, options: &GcOptions) -> Result<GcPlan, CacheError> {
    let inventory = cache.inventory()?;
    let in_progress = cache.runs_in_progress()?;
    let oldest = in_progress.iter().map(|run| run.started_ns).min().unwrap_or(i128::MAX);
    let run_ids: Vec<String> = in_progress.iter().map(|run| run.run_id.clone()).collect();
    let history = History::at(cache.folder());
    let roots = roots(&history, options.keep_runs, &run_ids);
    let names = names(&history);

    let mut readers: BTreeMap<Digest, usize> = BTreeMap::new();
    for entry in inventory.records.values() {
        blobs_of(entry).for_each(|blob| *readers.entry(blob).or_default() += 1);
    }
    let record_bytes: u64 = inventory.records.values().map(|entry| entry.bytes).sum();
    let blob_bytes: u64 = inventory.blobs.values().map(|blob| blob.bytes).sum();
    let stray_bytes: u64 = inventory.strays.iter().map(|stray| stray.bytes).sum();
    let bytes_before = record_bytes + blob_bytes + stray_bytes;

    let stale_before_ns = (options.now_ns - options.stray_age_ns).min(oldest);
    let orphans: BTreeSet<Digest> = inventory
        .blobs
        .iter()
        .filter(|(blob, entry)| {
            !readers.contains_key(*blob) && entry.stamp.used_ns < stale_before_ns
        })
        .map(|(blob, _)| *blob)
        .collect();
    let is_stale = |stray: &&cache::Stray| stray.stamp.used_ns < stale_before_ns;
    let strays: Vec<cache::Stray> = inventory.strays.iter().filter(is_stale).cloned().collect();
    let loose_bytes = orphans.iter().map(|blob| inventory.blobs[blob].bytes).sum::<u64>()
        + strays.iter().map(|stray| stray.bytes).sum::<u64>();

    let mut candidates: Vec<&RecordEntry> = inventory
        .records
        .values()
        .filter(|entry| !roots.contains(&entry.key) && entry.stamp.used_ns < oldest)
        .collect();
    let kept_by_runs = (inventory.records.len() - candidates.len()) as u64;
    // Without an age the clock plays no part: it may have jumped.
    let limit = options.now_ns - options.unused_for_ns;
    candidates.retain(|entry| options.unused_for_ns == 0 || entry.stamp.used_ns <= limit);
    candidates.sort_by_key(|entry| (entry.stamp.used_ns, entry.key));
    let mut bytes_after = bytes_before - loose_bytes;
    let mut removals = Vec::new();
    for entry in candidates {
        if options.max_bytes.is_some_and(|max| bytes_after <= max) {
            break;
        }
        let removal = removal(entry, &inventory, &mut readers, &names);
        bytes_after -= removal.bytes;
        removals.push(removal);
    }
    Ok(GcPlan {
        run_records: runs::removals(cache, options, stale_before_ns)?,
        loose_files: (orphans.len() + strays.len()) as u64,
        inventory,
        removals,
        orphans,
        strays,
        stale_before_ns,
        loose_bytes,
        bytes_before,
        bytes_after,
        kept_by_runs,
        runs_in_progress: run_ids,
    })
}

/// What goes with a record: itself, and the blobs it is the last reader of.
fn removal(
    entry: &RecordEntry,
    inventory: &Inventory,
    readers: &mut BTreeMap<Digest, usize>,
    names: &BTreeMap<Digest, String>,
) -> Removal {
    let mut bytes = entry.bytes;
    for blob in blobs_of(entry) {
        let count = readers.entry(blob).or_default();
        *count = count.saturating_sub(1);
        if *count == 0 {
            bytes += inventory.blobs.get(&blob).map_or(0, |blob| blob.bytes);
        }
    }
    Removal {
        key: entry.key,
        unit: name_of(names, entry),
        bytes,
        used_ns: entry.stamp.used_ns,
        seconds: entry.record.as_ref().map(|record| record.seconds),
    }
}

/// Removes what the plan names, but for what somebody has taken into use since.
pub fn carry_out_gc(cache: &Cache, plan: &GcPlan) -> Result<GcDone, CacheError> {
    let keys = plan.removals.iter().map(|removal| removal.key).collect();
    let sweep = cache.sweep(&plan.inventory, &keys, &plan.orphans, &plan.strays)?;
    cache.remove_stale_locks(plan.stale_before_ns);
    let (run_records, run_record_bytes) = runs::remove(cache, &plan.run_records)?;
    Ok(GcDone { sweep, run_records, run_record_bytes })
}

/// Checks the digest of every blob that a record names, and that every record can be read.
pub fn verify(cache: &Cache) -> Result<VerifyReport, CacheError> {
    let inventory = cache.inventory()?;
    let names = names(&History::at(cache.folder()));
    let mut report = VerifyReport {
        records: inventory.records.len() as u64,
        blobs: 0,
        bytes: 0,
        damages: Vec::new(),
        inventory: Inventory::default(),
    };
    let mut sound: BTreeMap<Digest, bool> = BTreeMap::new();
    for entry in inventory.records.values() {
        let unit = name_of(&names, entry);
        let mut damage = |what: &str, blobs: Vec<Digest>| {
            let what = what.to_owned();
            report.damages.push(Damage { unit: unit.clone(), key: entry.key, what, blobs });
        };
        let Some(record) = &entry.record else {
            damage("its record cannot be read", Vec::new());
            continue;
        };
        let mut problems = Vec::new();
        let mut bad = Vec::new();
        let parts = record
            .outputs
            .iter()
            .flat_map(|output| output.blobs.iter().map(|blob| (output.port.as_str(), blob)));
        for (port, blob) in parts {
            let is_sound = *sound.entry(blob.blob).or_insert_with(|| {
                report.blobs += 1;
                report.bytes += blob.bytes;
                cache.verify_blob(blob) == cache::BlobState::Whole
            });
            if !is_sound {
                let state = match inventory.blobs.contains_key(&blob.blob) {
                    true => "is damaged",
                    false => "is missing",
                };
                let what = match port {
                    "" => "its output".to_owned(),
                    port => format!("its port `{port}`"),
                };
                problems.push(match &blob.part {
                    Some(part) => format!("`{part}` of {what} {state}"),
                    None => format!("{what} {state}"),
                });
                bad.push(blob.blob);
            }
        }
        if !problems.is_empty() {
            let what = problems.join(", ");
            report.damages.push(Damage { unit: unit.clone(), key: entry.key, what, blobs: bad });
        }
    }
    report.inventory = inventory;
    Ok(report)
}

/// Takes what is damaged out of the cache, so that the next run makes it anew.
pub fn remove_damaged(cache: &Cache, report: &VerifyReport) -> Result<Sweep, CacheError> {
    let keys = report.damages.iter().map(|damage| damage.key).collect();
    let blobs = report.damages.iter().flat_map(|damage| damage.blobs.iter().copied()).collect();
    cache.sweep(&report.inventory, &keys, &blobs, &[])
}
