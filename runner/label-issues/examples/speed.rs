//! Times a whole search for label issues: `cargo run --release --example speed [rows] [classes]`.
//!
//! The probabilities lie in a temporary file and are read again for each pass, a thousand rows at
//! a time and on all cores, so that the memory of the process is what the search itself needs.

#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::time::Instant;

use label_issues::{
    Collision, Dataset, Error, EstimationMethod, FilterOptions, Probabilities, Rows, ScoreMethod,
    ScoreOptions, TieBreak, Visitor, rank_rows,
};

const BATCH_ROWS: usize = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(2_000_000), |text| text.parse())?;
    let classes = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let path = std::env::temp_dir().join(format!("label-issues-speed-{}", std::process::id()));
    let labels = write_sample(&path, rows, classes)?;
    println!("{rows} rows, {classes} classes, float32; {:.0} MiB before", peak_memory_mib());
    let outcome = search(&FileSource { path: path.clone(), rows, classes }, &labels);
    std::fs::remove_file(path)?;
    outcome?;
    println!("peak memory {:.0} MiB, labels included", peak_memory_mib());
    Ok(())
}

fn search(source: &FileSource, labels: &[u32]) -> Result<(), Error> {
    let start = Instant::now();
    source.visit(0..source.rows, &mut |_| Ok(()))?;
    println!("{:8.3} s to read the file once, for comparison", start.elapsed().as_secs_f64());

    let start = Instant::now();
    let step = |what: &str| println!("{:8.3} s {what}", start.elapsed().as_secs_f64());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let dataset = Dataset::on_threads(source, labels, threads)?;
    step("checks and thresholds");
    let evidence = dataset.evidence(Collision::Cleanlab)?;
    let expected = evidence.num_label_issues(EstimationMethod::OffDiagonal)?;
    step("confident joint");
    let flags = evidence.find_label_issues(&FilterOptions::default())?;
    step("prune_by_noise_rate");
    let method = ScoreMethod::NormalizedMargin;
    let options = ScoreOptions { method, ..ScoreOptions::default() };
    let scores = dataset.label_quality_scores(&options)?;
    step("normalized_margin");
    let posteriors = dataset.label_posteriors(&evidence.noise_rates()?)?;
    let unlikely = posteriors.quality.iter().filter(|quality| **quality < 0.5).count();
    step("label_posterior");
    let flagged = (0_u32..).zip(&flags).filter(|(_, flag)| **flag).map(|(row, _)| row).collect();
    let ranked = rank_rows(flagged, &scores, TieBreak::RowNumber)?;
    step("rank of the flagged rows");
    println!("{expected} issues estimated, {} flagged, {unlikely} unlikely", ranked.len());
    Ok(())
}

/// Reads little-endian float32 rows from a file.
struct FileSource {
    path: std::path::PathBuf,
    rows: usize,
    classes: usize,
}

impl Probabilities for FileSource {
    fn rows(&self) -> usize {
        self.rows
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn visit(&self, rows: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        let source_error = |error: std::io::Error| Error::Source(error.into());
        let mut file = File::open(&self.path).map_err(source_error)?;
        let start = (rows.start * self.classes * 4) as u64;
        file.seek(SeekFrom::Start(start)).map_err(source_error)?;
        let mut bytes = vec![0; BATCH_ROWS * self.classes * 4];
        let mut values = vec![0.0; BATCH_ROWS * self.classes];
        for first in rows.clone().step_by(BATCH_ROWS) {
            let length = BATCH_ROWS.min(rows.end - first) * self.classes;
            file.read_exact(&mut bytes[..length * 4]).map_err(source_error)?;
            let (quads, _) = bytes[..length * 4].as_chunks::<4>();
            for (value, quad) in values.iter_mut().zip(quads) {
                *value = f32::from_le_bytes(*quad);
            }
            visitor(Rows::Single(&values[..length]))?;
        }
        Ok(())
    }
}

/// Writes rows that lean towards a true class; returns labels of which a tenth is wrong.
fn write_sample(path: &std::path::Path, rows: usize, classes: usize) -> std::io::Result<Vec<u32>> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random >> 32
    };
    let mut file = BufWriter::new(File::create(path)?);
    let mut labels = Vec::with_capacity(rows);
    let mut row = vec![0.0_f32; classes];
    for _ in 0..rows {
        let truth = next() as usize % classes;
        let wrong = next() % 10 == 0;
        labels.push((if wrong { next() as usize % classes } else { truth }) as u32);
        row.iter_mut().for_each(|value| *value = (next() % 65_536) as f32 / 65_536.0);
        row[truth] += classes as f32 * ((next() % 65_536) as f32 / 65_536.0);
        let sum: f32 = row.iter().sum();
        for value in &row {
            file.write_all(&(value / sum).to_le_bytes())?;
        }
    }
    file.flush()?;
    Ok(labels)
}

/// Returns the most memory that the process had, where the system tells.
fn peak_memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
