//! Measures a classifier out of fold on a labelled CSV file, and holds the checks that each shipped
//! plugin passes. For examples and tests; knows no plugin and nothing of pipelines.

pub mod checks;
mod quality;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::sync::Mutex;
use std::time::Instant;

use flate2::read::MultiGzDecoder;

use crate::{Classifier, Context, Texts, Training};

const FOLDS: usize = 5;

/// Labelled texts.
pub struct Data {
    text: String,
    offsets: Vec<i64>,
    labels: Vec<u32>,
    truth: Option<Vec<u32>>,
    classes: usize,
}

/// Scores FILE.csv[.gz] (`text`, `label` and maybe `true_label`) with five folds side by side, each
/// on one thread, and returns a line with what it cost and how good it is.
///
/// `arguments` are FILE, and if wanted the parameters as JSON and the number of threads.
pub fn out_of_fold<T: Classifier>(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let path = arguments.first().ok_or("usage: FILE.csv[.gz] [PARAMETERS AS JSON] [THREADS]")?;
    let params = arguments.get(1).map_or("{}", String::as_str);
    let threads: usize = arguments.get(2).map_or(Ok(2), |threads| threads.parse())?;
    let data = read(path)?;
    let folds = fold_of_each_row(&data.labels);
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let (scores, prepared) = score::<T>(&data, &folds, params, threads)?;
    let seconds = started.elapsed().as_secs_f64();
    let cost = format!(
        "{:7} rows {:4} classes | {seconds:7.3} s (prepare {prepared:.3}) cpu {:.2} peak {} MB",
        data.labels.len(),
        data.classes,
        cpu_seconds() - cpu,
        peak_megabytes(),
    );
    let quality = quality::report(&scores, data.classes, &data.labels, data.truth.as_deref());
    Ok(format!("{cost} {quality}"))
}

/// Returns the probabilities of all rows, and the seconds that `prepare` took.
fn score<T: Classifier>(
    data: &Data,
    folds: &[usize],
    params: &str,
    threads: usize,
) -> Result<(Vec<f32>, f64), Box<dyn Error>> {
    let texts = Texts::new(&data.offsets, &data.text)?;
    let started = Instant::now();
    let params = serde_json::from_str(params)?;
    let corpus = T::prepare(params, &texts, &Context::with_threads(threads))?;
    let prepared = started.elapsed().as_secs_f64();
    let next = Mutex::new(0..FOLDS);
    let all = Mutex::new(vec![0.0; data.labels.len() * data.classes]);
    let work = || -> Result<(), crate::Error> {
        while let Some(fold) = next.lock().expect("no panic").next() {
            let part = |inside: bool| -> Vec<u32> {
                let rows = (0..folds.len()).filter(|&row| (folds[row] == fold) == inside);
                rows.map(|row| row as u32).collect()
            };
            let (train, test) = (part(false), part(true));
            let labels: Vec<_> = train.iter().map(|&row| data.labels[row as usize]).collect();
            let training = Training {
                rows: &train,
                labels: &labels,
                weights: None,
                class_count: data.classes,
                seed: 42,
            };
            let context = Context::quiet();
            let model = T::fit(&corpus, &training, &context)?;
            let mut scores = vec![0.0; test.len() * data.classes];
            T::predict(&corpus, &model, &test, &mut scores, &context)?;
            let mut all = all.lock().expect("no panic");
            for (row, scores) in test.iter().zip(scores.chunks_exact(data.classes)) {
                let start = *row as usize * data.classes;
                all[start..start + data.classes].copy_from_slice(scores);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(crate::threads::join)
    })?;
    Ok((all.into_inner()?, prepared))
}

/// Reads a CSV file record by record, so that the peak is that of the plugin.
fn read(path: &str) -> Result<Data, Box<dyn Error>> {
    let file = File::open(path)?;
    let is_packed = path.ends_with(".gz");
    let bytes: Box<dyn Read> =
        if is_packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 20).from_reader(bytes);
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let (text, label) = (column("text").ok_or("no text")?, column("label").ok_or("no label")?);
    let truth = column("true_label");
    let mut names = BTreeMap::new();
    let mut number = |name: &str| -> u32 {
        let next = names.len() as u32;
        *names.entry(name.to_owned()).or_insert(next)
    };
    let (mut joined, mut offsets) = (String::new(), vec![0]);
    let (mut labels, mut truths) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        joined.push_str(&record[text]);
        offsets.push(joined.len() as i64);
        labels.push(number(&record[label]));
        truths.extend(truth.map(|truth| number(&record[truth])));
    }
    joined.shrink_to_fit();
    // Classes in the order of their names, as the runner has them.
    let sorted: BTreeMap<u32, u32> = names.values().copied().zip(0..).collect();
    let renumber = |all: Vec<u32>| all.iter().map(|number| sorted[number]).collect();
    Ok(Data {
        text: joined,
        offsets,
        labels: renumber(labels),
        truth: truth.is_some().then(|| renumber(truths)),
        classes: names.len().max(2),
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

/// Returns the processor seconds of this process, 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Fields 14 and 15 in hundredths of a second; the name before may hold spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Returns the most memory this process has held, 0 where the system does not tell.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
