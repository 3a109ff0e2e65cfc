//! Made-up records in four categories that are easily learnt, some under a wrong label.

/// The categories in the order of the taxonomy.
pub const CATEGORIES: [&str; 4] = ["account", "billing", "delivery", "technical"];

pub const TAXONOMY: &str = "version: 1\ncategories: [account, billing, delivery, technical]\n";

/// Audits `records.csv`; every node kind that an audit needs is in it.
pub const PIPELINE: &str = "\
version: 1
name: audit
taxonomy: taxonomy.yaml
params: {confidence: 0.5, folds: 5}
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records}
  decided: {kind: corrections, store: 'sqlite:relabel.db'}
  current: {kind: clean, input: valid, corrections: decided}
  folds: {kind: kfold, input: current, k: '${params.folds}', seed: 42}
  oof: {kind: predict, input: folds, classifier: {plugin: linear}}
  suspicious:
    kind: filter
    input: oof
    where: >-
      prediction_confidence > ${params.confidence} and predicted_label != given_label
      and text_valid and predicted_in_taxonomy
  queue: {kind: review-queue, input: suspicious, store: 'sqlite:relabel.db'}
  cleaned: {kind: export, input: current, path: out/cleaned.csv}
";

/// All units of `PIPELINE`, sorted.
pub const UNITS: [&str; 14] = [
    "cleaned",
    "current",
    "decided",
    "folds",
    "oof",
    "oof[0]",
    "oof[1]",
    "oof[2]",
    "oof[3]",
    "oof[4]",
    "queue",
    "records",
    "suspicious",
    "valid",
];

const WORDS: [[&str; 10]; 4] = [
    [
        "password", "login", "profile", "username", "locked", "signin", "email", "verify",
        "identity", "reset",
    ],
    [
        "invoice", "payment", "refund", "charged", "card", "bank", "amount", "receipt", "tax",
        "price",
    ],
    [
        "parcel",
        "courier",
        "tracking",
        "shipped",
        "address",
        "late",
        "box",
        "arrived",
        "warehouse",
        "van",
    ],
    [
        "crash", "screen", "error", "update", "install", "battery", "freeze", "bug", "driver",
        "reboot",
    ],
];

const FILLERS: [&str; 8] = ["please", "my", "the", "help", "today", "again", "since", "with"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    pub text: String,
    /// The label in the file.
    pub label: String,
    /// The label it should have.
    pub truth: String,
}

/// A small generator of numbers: the same seed gives the same records on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// `count` records; one in thirteen, in every category, has a wrong label.
pub fn records(count: usize, seed: u64) -> Vec<Record> {
    let mut random = Random(seed);
    let mut records = Vec::with_capacity(count);
    for n in 0..count {
        let class = n % 4;
        let mut words: Vec<&str> =
            (0..5 + random.below(4)).map(|_| WORDS[class][random.below(10)]).collect();
        for _ in 0..3 {
            words.insert(random.below(words.len()), FILLERS[random.below(8)]);
        }
        let given = if n % 13 == 5 { (class + 1 + random.below(3)) % 4 } else { class };
        records.push(Record {
            id: format!("r{:04}", n + 1),
            text: words.join(" "),
            label: CATEGORIES[given].to_owned(),
            truth: CATEGORIES[class].to_owned(),
        });
    }
    records
}

pub fn to_csv(records: &[Record]) -> String {
    let rows = records.iter().map(|r| format!("{},{},{}\n", r.id, r.text, r.label));
    format!("record_id,text,label\n{}", rows.collect::<String>())
}
