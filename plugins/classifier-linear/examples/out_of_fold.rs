//! Scores a labelled CSV file out of fold with `linear` and prints what it cost and how good it is.
//!
//! ```text
//! cargo run --release -p classifier-linear --example out_of_fold -- FILE.csv.gz [JSON] [THREADS]
//! ```
//!
//! FILE has the columns `text` and `label`, and may have `true_label`; JSON holds parameters of the
//! plugin. Five folds are fitted side by side, each on one thread.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::sync::Mutex;
use std::time::Instant;

use classifier_linear::{Linear, Params};
use flate2::read::MultiGzDecoder;
use plugin_sdk::{Classifier, Context, Texts, Training};

const FOLDS: usize = 5;

struct Data {
    text: String,
    offsets: Vec<i64>,
    labels: Vec<u32>,
    truth: Option<Vec<u32>>,
    classes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: out_of_fold FILE.csv[.gz] [JSON] [THREADS]")?;
    let params = arguments.get(1).map_or("{}", String::as_str);
    let threads: usize = arguments.get(2).map_or(Ok(2), |threads| threads.parse())?;
    let data = read(path)?;
    let folds = fold_of_each_row(&data.labels);
    let started = Instant::now();
    let scores = out_of_fold(&data, &folds, params, threads)?;
    let seconds = started.elapsed().as_secs_f64();
    print!("{:7} rows {:4} classes {seconds:7.3} s", data.labels.len(), data.classes);
    report(&data, &scores);
    Ok(())
}

fn out_of_fold(
    data: &Data,
    folds: &[usize],
    params: &str,
    threads: usize,
) -> Result<Vec<f32>, Box<dyn Error>> {
    let quiet = Context::quiet();
    let texts = Texts::new(&data.offsets, &data.text)?;
    let params: Params = serde_json::from_str(params)?;
    let started = Instant::now();
    let corpus = Linear::prepare(params, &texts, &Context::with_threads(threads))?;
    print!("prepare {:6.3} s ", started.elapsed().as_secs_f64());
    let next = Mutex::new(0..FOLDS);
    let all = Mutex::new(vec![0.0; data.labels.len() * data.classes]);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(fold) = next.lock().expect("no panic").next() else { break };
                    let part = |inside: bool| -> Vec<u32> {
                        let rows = (0..folds.len()).filter(|&row| (folds[row] == fold) == inside);
                        rows.map(|row| row as u32).collect()
                    };
                    let (train, test) = (part(false), part(true));
                    let labels: Vec<_> =
                        train.iter().map(|&row| data.labels[row as usize]).collect();
                    let training = Training {
                        rows: &train,
                        labels: &labels,
                        weights: None,
                        class_count: data.classes,
                        seed: 42,
                    };
                    let model = Linear::fit(&corpus, &training, &quiet).expect("fit works");
                    let mut scores = vec![0.0; test.len() * data.classes];
                    Linear::predict(&corpus, &model, &test, &mut scores, &quiet)
                        .expect("predict works");
                    let mut all = all.lock().expect("no panic");
                    for (row, scores) in test.iter().zip(scores.chunks_exact(data.classes)) {
                        let start = *row as usize * data.classes;
                        all[start..start + data.classes].copy_from_slice(scores);
                    }
                }
            });
        }
    });
    Ok(all.into_inner()?)
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
    let mut data = (String::new(), vec![0], Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record?;
        data.0.push_str(&record[text]);
        data.1.push(data.0.len() as i64);
        data.2.push(record[label].to_owned());
        data.3.push(truth.map(|truth| record[truth].to_owned()));
    }
    let names: std::collections::BTreeSet<_> =
        data.2.iter().chain(data.3.iter().flatten()).cloned().collect();
    let index: BTreeMap<_, _> = names.into_iter().zip(0_u32..).collect();
    Ok(Data {
        text: data.0,
        offsets: data.1,
        labels: data.2.iter().map(|label| index[label]).collect(),
        truth: data.3.iter().map(|label| Some(index[label.as_ref()?])).collect(),
        classes: index.len().max(2),
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

fn report(data: &Data, scores: &[f32]) {
    let rows: Vec<&[f32]> = scores.chunks_exact(data.classes).collect();
    let best: Vec<u32> = rows.iter().map(|row| arg_max(row)).collect();
    let (accuracy, log_loss, error) = quality(&rows, &best, &data.labels);
    print!(" | given: accuracy {accuracy:.4} log-loss {log_loss:.4} ece {error:.4}");
    let disagree: Vec<usize> =
        (0..best.len()).filter(|&row| best[row] != data.labels[row]).collect();
    let flagged: Vec<usize> =
        disagree.iter().copied().filter(|&row| rows[row][best[row] as usize] > 0.9).collect();
    if let Some(truth) = &data.truth {
        let (accuracy, log_loss, error) = quality(&rows, &best, truth);
        print!(" | truth: accuracy {accuracy:.4} log-loss {log_loss:.4} ece {error:.4}");
        let right = flagged.iter().filter(|&&row| best[row] == truth[row]).count();
        let wrong = |row: usize| truth[row] != data.labels[row];
        let average = average_precision(&rows, &data.labels, wrong);
        print!(" | AP {average:.4} right {:.3}", right as f64 / flagged.len().max(1) as f64);
    }
    println!(" | above 0.9: {} of {} that disagree", flagged.len(), disagree.len());
}

/// Returns accuracy, log-loss and expected calibration error against some labels.
fn quality(rows: &[&[f32]], best: &[u32], labels: &[u32]) -> (f64, f64, f64) {
    let mut bins = [(0.0, 0.0); 15];
    let (mut hits, mut loss) = (0.0, 0.0);
    for ((row, &best), &label) in rows.iter().zip(best).zip(labels) {
        let confidence = f64::from(row[best as usize]);
        let hit = f64::from(u8::from(best == label));
        let bin = &mut bins[((confidence * 15.0) as usize).min(14)];
        bin.0 += hit;
        bin.1 += confidence;
        hits += hit;
        loss -= f64::from(row[label as usize]).max(1e-15).ln();
    }
    let count = rows.len() as f64;
    let error =
        bins.iter().map(|(hits, confidence)| (hits - confidence).abs()).sum::<f64>() / count;
    (hits / count, loss / count, error)
}

/// Ranks rows by the probability of their given label, least first.
fn average_precision(rows: &[&[f32]], labels: &[u32], wrong: impl Fn(usize) -> bool) -> f64 {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| rows[a][labels[a] as usize].total_cmp(&rows[b][labels[b] as usize]));
    let (mut found, mut sum) = (0.0, 0.0);
    for (position, row) in order.into_iter().enumerate() {
        if wrong(row) {
            found += 1.0;
            sum += found / (position + 1) as f64;
        }
    }
    sum / f64::max(found, 1.0)
}

fn arg_max(row: &[f32]) -> u32 {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better) as u32
}
