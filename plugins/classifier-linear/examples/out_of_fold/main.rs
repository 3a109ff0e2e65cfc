//! Scores labelled texts out of fold with `linear` and prints what it cost and how good it is.
//!
//! ```text
//! cargo run --release -p classifier-linear --example out_of_fold -- FILE [JSON] [THREADS] [REPEAT]
//! ```
//!
//! FILE is CSV or JSON lines, gzipped or not, with the columns `text` and `label`, and maybe
//! `true_label`; JSON holds parameters of the plugin. Five folds are fitted side by side, each on
//! one thread; with fewer folds left than threads, the threads are shared out. The time is that of
//! everything but reading the file; of REPEAT times the best is told, since other work on a machine
//! only ever adds. Peak memory is of the whole process, the texts included.

#![allow(clippy::print_stdout)]

mod data;
mod report;

use std::error::Error;
use std::sync::Mutex;
use std::time::Instant;

use classifier_linear::{Linear, Params};
use plugin_sdk::{Classifier, Context, Texts, Training};
use rustix::time::{ClockId, clock_gettime};

use data::{Data, FOLDS};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: out_of_fold FILE [JSON] [THREADS] [REPEAT]")?;
    let params = arguments.get(1).map_or("{}", String::as_str);
    let threads: usize = arguments.get(2).map_or(Ok(2), |threads| threads.parse())?;
    let repeat: usize = arguments.get(3).map_or(Ok(1), |repeat| repeat.parse())?;
    let data = data::read(path)?;
    let folds = data::fold_of_each_row(&data.labels);
    let (mut scores, mut best) = out_of_fold(&data, &folds, params, threads)?;
    for _ in 1..repeat {
        drop(scores);
        let cost;
        (scores, cost) = out_of_fold(&data, &folds, params, threads)?;
        best.prepare = best.prepare.min(cost.prepare);
        best.wall = best.wall.min(cost.wall);
        best.cpu = best.cpu.min(cost.cpu);
    }
    print!("{:7} rows {:4} classes ", data.labels.len(), data.classes);
    print!("prepare {:6.3} wall {:7.3} cpu {:7.3} s", best.prepare, best.wall, best.cpu);
    print!(" {:5} MB", peak_megabytes());
    report::report(&data, &scores);
    Ok(())
}

/// Seconds.
struct Cost {
    prepare: f64,
    wall: f64,
    cpu: f64,
}

fn out_of_fold(
    data: &Data,
    folds: &[usize],
    params: &str,
    threads: usize,
) -> Result<(Vec<f32>, Cost), Box<dyn Error>> {
    let params: Params = serde_json::from_str(params)?;
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let texts = Texts::new(&data.offsets, &data.text)?;
    let corpus = Linear::prepare(params, &texts, &Context::with_threads(threads))?;
    let prepare = started.elapsed().as_secs_f64();
    let next = Mutex::new(0..FOLDS);
    let all = Mutex::new(vec![0.0; data.labels.len() * data.classes]);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(FOLDS) {
            scope.spawn(|| {
                loop {
                    let (fold, left) = {
                        let mut next = next.lock().expect("no panic");
                        let Some(fold) = next.next() else { break };
                        (fold, next.len())
                    };
                    // The last fold has the machine to itself for most of its time.
                    let share = if left == 0 { threads - (FOLDS - 1) % threads } else { 1 };
                    let part = |inside: bool| -> Vec<u32> {
                        let rows = (0..folds.len()).filter(|&row| (folds[row] == fold) == inside);
                        rows.map(|row| row as u32).collect()
                    };
                    let (train, test) = (part(false), part(true));
                    let scores = score_fold(data, &corpus, &train, &test, share);
                    let mut all = all.lock().expect("no panic");
                    for (row, scores) in test.iter().zip(scores.chunks_exact(data.classes)) {
                        let start = *row as usize * data.classes;
                        all[start..start + data.classes].copy_from_slice(scores);
                    }
                }
            });
        }
    });
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    Ok((all.into_inner()?, Cost { prepare, wall, cpu }))
}

fn score_fold(
    data: &Data,
    corpus: &<Linear as Classifier>::Corpus,
    train: &[u32],
    test: &[u32],
    threads: usize,
) -> Vec<f32> {
    let context = Context::with_threads(threads);
    let labels: Vec<_> = train.iter().map(|&row| data.labels[row as usize]).collect();
    let training = Training {
        rows: train,
        labels: &labels,
        weights: None,
        class_count: data.classes,
        seed: 42,
    };
    let model = Linear::fit(corpus, &training, &context).expect("fit works");
    let mut scores = vec![0.0; test.len() * data.classes];
    Linear::predict(corpus, &model, test, &mut scores, &context).expect("predict works");
    scores
}

/// Processor time of all threads so far.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Linux tells it; elsewhere this is 0.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
