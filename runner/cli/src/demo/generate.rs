//! Puts the demo data together: an intake of records with given and true labels, a clean gold
//! set and the taxonomy, and writes them as files. Everything follows from a seed and a row
//! count; nothing here looks at a clock, a machine or a classifier.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use super::compose;
use super::corpus::CATEGORIES;
use super::noise;
use super::rng::Rng;

/// Shares of records that repeat an earlier one, to the letter or nearly so.
pub const EXACT_DUPLICATE_RATE: f64 = 0.015;
pub const NEAR_DUPLICATE_RATE: f64 = 0.025;

/// Share of records without a usable text, and the records one oversized text comes in.
pub const EMPTY_RATE: f64 = 0.006;
pub const ROWS_PER_OVERSIZED: usize = 1_500;

/// Training records for each gold record.
pub const ROWS_PER_GOLD: usize = 4;

/// The intake spans this many days, ending a little before the audit.
const FIRST_DAY: i64 = 19_905; // 2024-07-01, in days since 1970-01-01
const DAYS: usize = 540;

/// The whole data set.
pub struct DemoData {
    pub records: Vec<Record>,
    pub gold: Vec<GoldRecord>,
    pub categories: Vec<Category>,
}

/// A record of the intake.
pub struct Record {
    pub record_id: String,
    pub text: String,
    /// The label it was given, right or wrong, within the taxonomy or not.
    pub label: String,
    pub true_label: String,
    /// A date, YYYY-MM-DD.
    pub received_at: String,
    pub channel: &'static str,
    pub source_system: &'static str,
}

/// A record with a label that is right; no text of it occurs in the intake.
pub struct GoldRecord {
    pub record_id: String,
    pub text: String,
    pub label: String,
}

/// An entry of the taxonomy.
pub struct Category {
    pub name: &'static str,
    pub description: &'static str,
    pub queue: &'static str,
}

/// Generates `rows` records and a gold set of a quarter of that; same seed, same bytes.
pub fn generate(seed: u64, rows: usize) -> DemoData {
    let drafts = intake(seed, rows);
    let gold = gold(seed, rows / ROWS_PER_GOLD, &drafts);
    let draws = even_draws(seed, &drafts);
    let records = drafts
        .into_iter()
        .zip(draws)
        .enumerate()
        .map(|(n, (draft, draw))| record(seed, n, rows, draft, draw))
        .collect();
    let categories = CATEGORIES.iter().map(|category| Category {
        name: category.name,
        description: category.description,
        queue: category.queue,
    });
    DemoData { records, gold, categories: categories.collect() }
}

/// Writes `record_id,text,label,received_at,channel,source_system`.
pub fn write_records_csv(data: &DemoData, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let header = ["record_id", "text", "label", "received_at", "channel", "source_system"];
    csv.write_record(header).map_err(io::Error::from)?;
    for r in &data.records {
        let row = [&r.record_id, &r.text, &r.label, &r.received_at, r.channel, r.source_system];
        csv.write_record(row).map_err(io::Error::from)?;
    }
    csv.flush()
}

/// Writes `record_id,true_label`.
pub fn write_truth_csv(data: &DemoData, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["record_id", "true_label"]).map_err(io::Error::from)?;
    for record in &data.records {
        csv.write_record([&record.record_id, &record.true_label]).map_err(io::Error::from)?;
    }
    csv.flush()
}

/// Writes `record_id,text,label`.
pub fn write_gold_csv(data: &DemoData, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["record_id", "text", "label"]).map_err(io::Error::from)?;
    for record in &data.gold {
        let row = [&record.record_id, &record.text, &record.label];
        csv.write_record(row).map_err(io::Error::from)?;
    }
    csv.flush()
}

/// Writes the taxonomy file: version, then name, description and queue of each category.
pub fn taxonomy_yaml(data: &DemoData, mut out: impl Write) -> io::Result<()> {
    writeln!(out, "version: 1")?;
    writeln!(out, "categories:")?;
    for category in &data.categories {
        writeln!(out, "  - name: {}", category.name)?;
        // Quoted, for a description may hold a colon; none holds a quote or a backslash.
        writeln!(out, "    description: \"{}\"", category.description)?;
        writeln!(out, "    queue: {}", category.queue)?;
    }
    out.flush()
}

/// Streams of random numbers, one for each purpose, so that changing one leaves the others.
mod stream {
    pub const KIND: u64 = 1;
    pub const TEXT: u64 = 2;
    pub const LABEL: u64 = 3;
    pub const COLUMNS: u64 = 4;
    pub const GOLD: u64 = 5;
    pub const DRAWS: u64 = 6;
}

/// A record before it gets its label and its further columns.
struct Draft {
    category: usize,
    topic: usize,
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Usual,
    Duplicate,
    Empty,
    Oversized,
}

fn intake(seed: u64, rows: usize) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::with_capacity(rows);
    for n in 0..rows {
        let mut kind = Rng::new(seed, stream::KIND, n as u64);
        let mut rng = Rng::new(seed, stream::TEXT, n as u64);
        let draw = kind.unit();
        let draft = if draw < EXACT_DUPLICATE_RATE + NEAR_DUPLICATE_RATE && n > 0 {
            let earlier = kind.below(n);
            repeat(&mut rng, &drafts[earlier], draw < EXACT_DUPLICATE_RATE)
        } else {
            let empty = draw > 1.0 - EMPTY_RATE;
            let oversized = n % ROWS_PER_OVERSIZED == ROWS_PER_OVERSIZED / 2;
            fresh(&mut rng, empty, oversized)
        };
        drafts.push(draft);
    }
    drafts
}

fn fresh(rng: &mut Rng, empty: bool, oversized: bool) -> Draft {
    let category = rng.weighted(CATEGORIES.iter().map(|category| category.weight));
    let topic = rng.below(CATEGORIES[category].topics.len());
    let (kind, text) = if oversized {
        (Kind::Oversized, compose::oversized_text(rng, category, topic))
    } else if empty {
        (Kind::Empty, rng.pick(&["", "", " ", "   ", "\n", " \t", "-", "?", "ok"]).to_owned())
    } else {
        let text = compose::text(rng, category, topic);
        (Kind::Usual, noise::mistype(rng, text))
    };
    Draft { category, topic, text, kind }
}

/// The same record once more: sent twice, or sent again with a word in front or behind.
fn repeat(rng: &mut Rng, earlier: &Draft, exact: bool) -> Draft {
    let Draft { category, topic, ref text, kind } = *earlier;
    let text = match rng.below(4) {
        _ if exact || kind != Kind::Usual => text.clone(),
        0 => format!("Resent: {text}"),
        1 => format!("{text}\nPlease reply to this second message."),
        2 => noise::add_typos(rng, text),
        _ => format!("{text} "),
    };
    let kind = if kind == Kind::Usual { Kind::Duplicate } else { kind };
    Draft { category, topic, text, kind }
}

fn gold(seed: u64, rows: usize, drafts: &[Draft]) -> Vec<GoldRecord> {
    let normal = |text: &str| text.trim().to_lowercase();
    let mut seen: HashSet<String> = drafts.iter().map(|draft| normal(&draft.text)).collect();
    let mut gold = Vec::with_capacity(rows);
    let mut attempt = 0;
    while gold.len() < rows {
        let draft = fresh(&mut Rng::new(seed, stream::GOLD, attempt), false, false);
        attempt += 1;
        if seen.insert(normal(&draft.text)) {
            let record_id = format!("G-{:05}", gold.len() + 1);
            let label = CATEGORIES[draft.category].name.to_owned();
            gold.push(GoldRecord { record_id, text: draft.text, label });
        }
    }
    gold
}

/// Spreads the records of each topic evenly over [0, 1), in random order.
fn even_draws(seed: u64, drafts: &[Draft]) -> Vec<f64> {
    let mut topics: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (n, draft) in drafts.iter().enumerate() {
        topics.entry((draft.category, draft.topic)).or_default().push(n);
    }
    let mut draws = vec![0.0; drafts.len()];
    for ((category, topic), mut members) in topics {
        let mut rng = Rng::new(seed, stream::DRAWS, (category * 100 + topic) as u64);
        rng.shuffle(&mut members);
        let count = members.len() as f64;
        for (place, n) in members.into_iter().enumerate() {
            draws[n] = (place as f64 + rng.unit()) / count;
        }
    }
    draws
}

fn record(seed: u64, n: usize, rows: usize, draft: Draft, draw: f64) -> Record {
    let mut rng = Rng::new(seed, stream::LABEL, n as u64);
    let category = CATEGORIES[draft.category];
    let true_label = category.name.to_owned();
    // Nobody could tell a wrong label by a text that no audit reads.
    let label = match draft.kind {
        Kind::Usual | Kind::Duplicate => {
            noise::given_label(&mut rng, draw, draft.category, category.topics[draft.topic].name)
        }
        Kind::Empty | Kind::Oversized => true_label.clone(),
    };
    let mut rng = Rng::new(seed, stream::COLUMNS, n as u64);
    let day = (n * DAYS / rows + rng.below(3)) as i64;
    let wrong = label != true_label;
    Record {
        record_id: format!("R-{:06}", n + 1),
        received_at: iso_date(FIRST_DAY + day),
        channel: channel(&mut rng, draft.kind),
        source_system: source_system(&mut rng, wrong),
        text: draft.text,
        label,
        true_label,
    }
}

fn channel(rng: &mut Rng, kind: Kind) -> &'static str {
    const CHANNELS: [(&str, u32); 6] =
        [("email", 48), ("web-form", 20), ("letter", 14), ("app", 10), ("fax", 4), ("phone", 4)];
    match kind {
        Kind::Oversized => "letter",
        _ => CHANNELS[rng.weighted(CHANNELS.iter().map(|(_, weight)| *weight))].0,
    }
}

/// The old router is to blame for more than its share of wrong labels, but not for all.
fn source_system(rng: &mut Rng, wrong: bool) -> &'static str {
    const SYSTEMS: [&str; 4] = ["legacy-router", "mailgate", "crm", "scan-centre"];
    let weights: [u32; 4] = if wrong { [6, 2, 1, 1] } else { [3, 4, 2, 1] };
    SYSTEMS[rng.weighted(weights.into_iter())]
}

/// Writes a day, counted from 1970-01-01, as a date of the Gregorian calendar.
fn iso_date(day: i64) -> String {
    let (mut year, mut left) = (1970, day);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::super::corpus::category_index;
    use super::*;

    fn files(data: &DemoData) -> Vec<Vec<u8>> {
        let mut files = vec![Vec::new(); 4];
        write_records_csv(data, &mut files[0]).expect("memory takes all bytes");
        write_truth_csv(data, &mut files[1]).expect("memory takes all bytes");
        write_gold_csv(data, &mut files[2]).expect("memory takes all bytes");
        taxonomy_yaml(data, &mut files[3]).expect("memory takes all bytes");
        files
    }

    #[test]
    fn a_seed_gives_the_same_bytes() {
        assert_eq!(files(&generate(42, 700)), files(&generate(42, 700)));
        assert_ne!(files(&generate(42, 700))[0], files(&generate(43, 700))[0]);
    }

    #[test]
    fn the_intake_has_all_its_flaws() {
        let data = generate(42, 6_000);
        assert_eq!((data.records.len(), data.gold.len()), (6_000, 1_500));
        let count = |wanted: &dyn Fn(&Record) -> bool| {
            data.records.iter().filter(|record| wanted(record)).count()
        };
        let outside = |label: &str| data.categories.iter().all(|known| known.name != label);
        assert!((15..80).contains(&count(&|r| r.text.trim().chars().count() < 3)));
        assert!((2..10).contains(&count(&|r| r.text.chars().count() > 20_000)));
        assert!((40..120).contains(&count(&|r| outside(&r.label))));
        assert_eq!(count(&|r| outside(&r.true_label)), 0);
        assert!((1_600..2_400).contains(&count(&|r| r.label != r.true_label)));
        let texts: HashSet<&str> = data.records.iter().map(|r| r.text.as_str()).collect();
        assert!(texts.len() < 5_950, "exact duplicates");
        assert!(data.gold.iter().all(|gold| !texts.contains(gold.text.as_str())));
        for category in CATEGORIES {
            let name = category.name;
            assert!(count(&|r| r.true_label == name) > 150, "{name}");
            assert!(data.gold.iter().filter(|gold| gold.label == name).count() > 30, "{name}");
            assert!(category_index(name) < 16);
        }
    }

    #[test]
    fn few_rows_will_do() {
        assert!(generate(1, 0).records.is_empty());
        assert_eq!(generate(1, 5).gold.len(), 1);
    }

    #[test]
    fn days_become_dates() {
        let dates = [0, 59, 11_016, 19_905, 20_088].map(iso_date);
        assert_eq!(dates, ["1970-01-01", "1970-03-01", "2000-02-29", "2024-07-01", "2024-12-31"]);
    }
}
