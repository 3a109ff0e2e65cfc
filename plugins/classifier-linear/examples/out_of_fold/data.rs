//! Reads labelled texts from CSV or JSON lines, gzipped or not, and deals rows to folds.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

pub const FOLDS: usize = 5;

/// Labelled texts, as the classifier wants them.
pub struct Data {
    pub text: String,
    /// Text `r` is `offsets[r]..offsets[r + 1]` of `text`.
    pub offsets: Vec<i64>,
    pub labels: Vec<u32>,
    pub truth: Option<Vec<u32>>,
    pub classes: usize,
}

/// Columns as they are read.
struct Columns {
    text: String,
    offsets: Vec<i64>,
    labels: Vec<String>,
    truth: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, text: &str, label: &str, truth: Option<&str>) {
        self.text.push_str(text);
        self.offsets.push(self.text.len() as i64);
        self.labels.push(label.to_owned());
        self.truth.push(truth.map(str::to_owned));
    }
}

/// Reads the columns `text`, `label` and, where there is one, `true_label`.
pub fn read(path: &str) -> Result<Data, Box<dyn Error>> {
    let mut columns =
        Columns { text: String::new(), offsets: vec![0], labels: Vec::new(), truth: Vec::new() };
    let (input, plain) = match path.strip_suffix(".gz") {
        Some(plain) => (Box::new(MultiGzDecoder::new(File::open(path)?)) as Box<dyn Read>, plain),
        None => (Box::new(File::open(path)?) as Box<dyn Read>, path),
    };
    if plain.ends_with(".jsonl") || plain.ends_with(".ndjson") {
        read_json_lines(input, &mut columns)?;
    } else {
        read_csv(input, &mut columns)?;
    }
    let names: BTreeSet<_> =
        columns.labels.iter().chain(columns.truth.iter().flatten()).cloned().collect();
    let index: BTreeMap<_, _> = names.into_iter().zip(0_u32..).collect();
    Ok(Data {
        text: columns.text,
        offsets: columns.offsets,
        labels: columns.labels.iter().map(|label| index[label]).collect(),
        truth: columns.truth.iter().map(|label| Some(index[label.as_ref()?])).collect(),
        classes: index.len().max(2),
    })
}

fn read_csv(input: impl Read, columns: &mut Columns) -> Result<(), Box<dyn Error>> {
    let mut reader = csv::Reader::from_reader(input);
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let text = column("text").ok_or("the file has no column `text`")?;
    let label = column("label").ok_or("the file has no column `label`")?;
    let truth = column("true_label");
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        columns.push(&record[text], &record[label], truth.map(|truth| &record[truth]));
    }
    Ok(())
}

fn read_json_lines(input: impl Read, columns: &mut Columns) -> Result<(), Box<dyn Error>> {
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let value: serde_json::Value = serde_json::from_str(&line?)?;
        let field = |name: &str| {
            value[name].as_str().ok_or_else(|| format!("line {} has no `{name}`", number + 1))
        };
        columns.push(field("text")?, field("label")?, value["true_label"].as_str());
    }
    Ok(())
}

/// Deals the rows of each class to the folds in turn, in an order drawn once.
pub fn fold_of_each_row(labels: &[u32]) -> Vec<usize> {
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
