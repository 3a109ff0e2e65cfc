//! Scores a labelled CSV file out of fold with a classifier plugin; prints cost and quality as JSON.
//!
//! ```text
//! target/release/examples/benchmark FILE.csv[.gz] PLUGIN [JSON] [THREADS]
//! ```
//!
//! FILE has the columns `text` and `label`, and may have `true_label`; PLUGIN is a name, looked for
//! beside this program and in `RELABEL_PLUGIN_PATH`, or the path of a file; JSON holds parameters.
//! The plugin is used as `relabel run` uses it: texts are prepared once, five stratified folds are
//! fitted on their training rows alone, THREADS (2) folds at a time, and predicted. Seconds count
//! from the texts in memory to the last prediction; reading the file is left out.

#![allow(clippy::print_stdout)]

mod quality;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use engine::classifier::{
    CallContext, Cancel, Classifier, ClassifierSource, FitRequest, PluginRequest, Texts,
    fill_defaults,
};
use flate2::read::MultiGzDecoder;
use plugin_host::PluginSource;
use quality::{Quality, average_precision};
use serde_json::{Value, json};

const FOLDS: usize = 5;

struct Data {
    texts: Texts,
    labels: Vec<u32>,
    truth: Option<Vec<u32>>,
    classes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, plugin, ..] = arguments.as_slice() else {
        return Err("usage: benchmark FILE.csv[.gz] PLUGIN [JSON] [THREADS]".into());
    };
    let mut params: Value = serde_json::from_str(arguments.get(2).map_or("{}", String::as_str))?;
    let threads: usize = arguments.get(3).map_or(Ok(2), |threads| threads.parse())?;
    let data = read(path)?;
    let classifier = plugins()?.classifier(&PluginRequest::new(plugin))?;
    fill_defaults(&classifier.description().params_schema, &mut params);
    let folds = fold_of_each_row(&data.labels);
    let cpu_before = cpu_seconds();
    let started = Instant::now();
    let (scores, prepare_seconds) = out_of_fold(&*classifier, &data, &folds, &params, threads)?;
    let seconds = started.elapsed().as_secs_f64();
    let mut report = json!({
        "file": path,
        "plugin": plugin,
        "params": params,
        "rows": data.labels.len(),
        "classes": data.classes,
        "threads": threads,
        "prepare_seconds": prepare_seconds,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - cpu_before,
        "peak_mb": peak_megabytes(),
    });
    let rows: Vec<&[f32]> = scores.chunks_exact(data.classes).collect();
    report["given"] = Quality::of(&rows, &data.labels).to_json();
    if let Some(truth) = &data.truth {
        report["truth"] = Quality::of(&rows, truth).to_json();
        let wrong: Vec<bool> =
            truth.iter().zip(&data.labels).map(|(truth, label)| truth != label).collect();
        report["average_precision"] = json!(average_precision(&rows, &data.labels, &wrong));
    }
    println!("{report}");
    Ok(())
}

fn plugins() -> Result<PluginSource, Box<dyn Error>> {
    let mut folders: Vec<PathBuf> = std::env::var_os("RELABEL_PLUGIN_PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    // Cargo puts examples one folder below the libraries.
    let program = std::env::current_exe()?;
    folders.extend(program.ancestors().skip(1).take(2).map(PathBuf::from));
    Ok(PluginSource::new(folders))
}

/// Returns probabilities `[rows, classes]` and the seconds of `prepare`.
fn out_of_fold(
    classifier: &dyn Classifier,
    data: &Data,
    folds: &[usize],
    params: &Value,
    threads: usize,
) -> Result<(Vec<f32>, f64), Box<dyn Error>> {
    let cancel = Cancel::default();
    let call = |threads| CallContext { progress: &|_| {}, cancel: &cancel, threads };
    let started = Instant::now();
    let corpus = classifier.prepare(&data.texts, params, call(threads))?;
    let prepare_seconds = started.elapsed().as_secs_f64();
    let next = Mutex::new(0..FOLDS);
    let all = Mutex::new(vec![0.0; data.labels.len() * data.classes]);
    let work = || {
        loop {
            let Some(fold) = next.lock().expect("no panic").next() else { return Ok(()) };
            // The last fold has the machine to itself, as in a run.
            let alone = fold + 1 == FOLDS && FOLDS % threads == 1;
            let call = call(if alone { threads } else { 1 });
            let (held_out, rows): (Vec<u32>, Vec<u32>) =
                (0..folds.len() as u32).partition(|&row| folds[row as usize] == fold);
            let labels: Vec<u32> = rows.iter().map(|&row| data.labels[row as usize]).collect();
            let request = FitRequest {
                rows: &rows,
                labels: &labels,
                weights: None,
                class_count: data.classes as u32,
                seed: 42 + fold as u64,
            };
            let model = corpus.fit(request, call)?;
            let scores = corpus.predict(&*model, &held_out, call)?;
            let mut all = all.lock().expect("no panic");
            for (row, scores) in held_out.iter().zip(scores.chunks_exact(data.classes)) {
                let start = *row as usize * data.classes;
                all[start..start + data.classes].copy_from_slice(scores);
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            let ended: Result<(), engine::classifier::ClassifierError> =
                worker.join().expect("no panic");
            ended
        })
    })?;
    Ok((all.into_inner()?, prepare_seconds))
}

fn read(path: &str) -> Result<Data, Box<dyn Error>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked)?;
        bytes = unpacked;
    }
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let (text, label) = (column("text").ok_or("no text")?, column("label").ok_or("no label")?);
    let truth = column("true_label");
    let (mut texts, mut labels, mut truths) = (Vec::new(), Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record?;
        texts.push(record[text].to_owned());
        labels.push(record[label].to_owned());
        truths.push(truth.map(|truth| record[truth].to_owned()));
    }
    let names: BTreeSet<&String> = labels.iter().chain(truths.iter().flatten()).collect();
    let index: BTreeMap<&String, u32> = names.into_iter().zip(0..).collect();
    Ok(Data {
        labels: labels.iter().map(|label| index[label]).collect(),
        truth: truths.iter().map(|label| Some(index[label.as_ref()?])).collect(),
        classes: index.len().max(2),
        texts: Texts::from_strs(texts.iter().map(|text| Some(text.as_str()))),
    })
}

/// Deals the rows of each class to the folds in turn, in an order drawn once.
fn fold_of_each_row(labels: &[u32]) -> Vec<usize> {
    let mix =
        |row: usize| (row as u64 ^ 0x5bd1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&row| (labels[row], mix(row).wrapping_mul(0x94d0_49bb_1331_11eb)));
    let mut folds = vec![0; labels.len()];
    for (position, row) in order.into_iter().enumerate() {
        folds[row] = position % FOLDS;
    }
    folds
}

/// Returns user and system time of this process, in seconds; 0 where /proc is missing.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; user and system ticks are fields 14 and 15.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Returns the most memory this process had at a time, in MiB; 0 where /proc is missing.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}
