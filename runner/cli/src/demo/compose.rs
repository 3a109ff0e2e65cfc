//! Makes texts: expands the choices and slots of the corpus and strings sentences together to
//! subject lines, notes and letters. It knows nothing of labels.

use super::corpus::{self, CATEGORIES, CategorySpec, Topic, category_index, family_lines};
use super::rng::Rng;

/// Share of further sentences that come from a sister category. Up: harder for people and
/// classifiers alike; macro F1 falls before and after the audit, acceptance falls.
pub const SISTER_SHARE: f64 = 0.12;

/// Share of further sentences that fit any category of the family. Up: fewer words that give the
/// category away.
pub const FAMILY_SHARE: f64 = 0.20;

/// Share of further sentences from any topic of the same category. Up: topics melt together, so
/// noise that hits one topic spreads over the category, and so do corrections.
pub const OTHER_TOPIC_SHARE: f64 = 0.12;

/// Share of texts that are a bare subject line, and of those the share that says next to nothing.
pub const SUBJECT_ONLY_SHARE: f64 = 0.10;
pub const VAGUE_SUBJECT_SHARE: f64 = 0.04;

/// Share of texts of one or two sentences, and of letters with several paragraphs.
const NOTE_SHARE: f64 = 0.34;
const LONG_SHARE: f64 = 0.12;

/// Share of letters that a branch has forwarded, and of sentences tied to the one before.
const FORWARDED_SHARE: f64 = 0.08;
const CONNECTED_SHARE: f64 = 0.18;

/// Writes a text of a category and topic.
pub fn text(rng: &mut Rng, category: usize, topic: usize) -> String {
    let category = CATEGORIES[category];
    let topic = &category.topics[topic];
    let form = rng.unit();
    if form < SUBJECT_ONLY_SHARE {
        return subject(rng, topic);
    }
    if form < SUBJECT_ONLY_SHARE + NOTE_SHARE {
        return note(rng, category, topic);
    }
    if form < 1.0 - LONG_SHARE {
        let lines = rng.between(2, 4);
        return letter(rng, category, topic, lines, 1);
    }
    let (lines, paragraphs) = (rng.between(5, 9), rng.between(2, 3));
    letter(rng, category, topic, lines, paragraphs)
}

/// Writes a text beyond 20,000 characters: a letter with a machine-read annex.
pub fn oversized_text(rng: &mut Rng, category: usize, topic: usize) -> String {
    let mut text = letter(rng, CATEGORIES[category], &CATEGORIES[category].topics[topic], 8, 3);
    text.push_str("\n\nAnnex, text recognised by machine:\n");
    while text.chars().count() <= 21_000 {
        let lines = [corpus::FILLERS, corpus::FOOTERS, corpus::OPENINGS, corpus::SIGNATURES];
        let line = rng.pick(&lines);
        let page = rng.between(2, 60);
        text.push_str(&expand(rng, line[page % line.len()]));
        text.push_str(&format!("\n[page {page}]\n"));
    }
    text
}

fn subject(rng: &mut Rng, topic: &Topic) -> String {
    let vague = rng.chance(VAGUE_SUBJECT_SHARE);
    let pattern = rng.pick(if vague { corpus::VAGUE_SUBJECTS } else { topic.subjects });
    let subject = expand(rng, pattern);
    match rng.below(8) {
        0 => format!("Re: {subject}"),
        1 => format!("Fwd: {subject}"),
        2 => format!("{subject} - {}", slot(rng, "policy")),
        3 => format!("{subject}, {}", slot(rng, "name")),
        _ => capitalised(&subject),
    }
}

fn note(rng: &mut Rng, category: &CategorySpec, topic: &Topic) -> String {
    let mut said = Said::default();
    let mut parts = Vec::new();
    match rng.below(10) {
        0..3 => parts.push(expand_one(rng, corpus::GREETINGS)),
        3 => parts.push(expand_one(rng, corpus::PHONE_NOTES)),
        _ => {}
    }
    if rng.chance(0.2) {
        parts.push(expand_one(rng, corpus::OPENINGS));
    }
    parts.push(said.line(rng, topic.lines));
    match rng.below(10) {
        0..4 => parts.push(said.mixed_line(rng, category, topic)),
        4..7 => parts.push(expand_one(rng, category.asks)),
        _ => {}
    }
    if rng.chance(0.25) {
        parts.push(expand_one(rng, corpus::SIGNATURES));
    }
    parts.join(" ")
}

fn letter(
    rng: &mut Rng,
    category: &CategorySpec,
    topic: &Topic,
    lines: usize,
    paragraphs: usize,
) -> String {
    let body = letter_body(rng, category, topic, lines);
    let mut blocks = Vec::new();
    if rng.chance(FORWARDED_SHARE) {
        blocks.push(expand_one(rng, corpus::FORWARDS));
    }
    if rng.chance(0.3) {
        blocks.push(format!("Subject: {}", subject(rng, topic)));
    }
    if rng.chance(0.8) {
        blocks.push(expand_one(rng, corpus::GREETINGS));
    }
    let size = body.len().div_ceil(paragraphs);
    blocks.extend(body.chunks(size).map(|sentences| sentences.join(" ")));
    if rng.chance(0.8) {
        blocks.push(expand_one(rng, corpus::SIGNATURES));
    }
    if rng.chance(0.12) {
        blocks.push(expand_one(rng, corpus::FOOTERS));
    }
    blocks.join(if paragraphs > 1 { "\n\n" } else { "\n" })
}

fn letter_body(rng: &mut Rng, category: &CategorySpec, topic: &Topic, lines: usize) -> Vec<String> {
    let mut said = Said::default();
    let mut body = vec![said.line(rng, topic.lines)];
    for _ in 1..lines {
        body.push(said.mixed_line(rng, category, topic));
    }
    for _ in 0..rng.below(1 + lines.div_ceil(2)) {
        body.push(said.line(rng, corpus::FILLERS));
    }
    rng.shuffle(&mut body);
    for line in body.iter_mut().skip(1) {
        if rng.chance(CONNECTED_SHARE) {
            *line = connected(rng, line);
        }
    }
    if rng.chance(0.5) {
        body.insert(0, expand_one(rng, corpus::OPENINGS));
    }
    if rng.chance(0.55) {
        body.push(expand_one(rng, category.asks));
    }
    if rng.chance(0.4) {
        body.push(expand_one(rng, corpus::CLOSINGS));
    }
    body
}

/// Puts a connector before a sentence, which loses its capital unless it begins with a name.
fn connected(rng: &mut Rng, line: &str) -> String {
    let connector = expand_one(rng, corpus::CONNECTORS);
    let first = line.split(' ').next().unwrap_or_default();
    if corpus::COMMON_STARTS.contains(&first) {
        return format!("{connector} {}{}", first.to_lowercase(), &line[first.len()..]);
    }
    format!("{connector} {line}")
}

/// The patterns a text has used: nobody writes the same sentence twice.
#[derive(Default)]
struct Said {
    patterns: Vec<&'static str>,
}

impl Said {
    /// A sentence that the text does not have yet, as long as the list lasts.
    fn line(&mut self, rng: &mut Rng, lines: &[&'static str]) -> String {
        let fresh: Vec<&'static str> =
            lines.iter().copied().filter(|line| !self.patterns.contains(line)).collect();
        let pattern = rng.pick(if fresh.is_empty() { lines } else { &fresh });
        self.patterns.push(pattern);
        expand(rng, pattern)
    }

    /// A sentence that may as well come from a sister category, or from any of the family.
    fn mixed_line(&mut self, rng: &mut Rng, category: &CategorySpec, topic: &Topic) -> String {
        let draw = rng.unit();
        if draw < SISTER_SHARE {
            let sister = CATEGORIES[category_index(rng.pick(category.sisters))];
            let topic = any_topic(rng, sister);
            return self.line(rng, topic.lines);
        }
        if draw < SISTER_SHARE + FAMILY_SHARE {
            return self.line(rng, family_lines(category.family));
        }
        if draw < SISTER_SHARE + FAMILY_SHARE + OTHER_TOPIC_SHARE {
            let topic = any_topic(rng, category);
            return self.line(rng, topic.lines);
        }
        self.line(rng, topic.lines)
    }
}

fn any_topic(rng: &mut Rng, category: &CategorySpec) -> &'static Topic {
    let topics: &'static [Topic] = category.topics;
    &topics[rng.below(topics.len())]
}

fn expand_one(rng: &mut Rng, patterns: &[&str]) -> String {
    let pattern = rng.pick(patterns);
    expand(rng, pattern)
}

/// Replaces choices and slots of a pattern.
pub fn expand(rng: &mut Rng, pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    expand_into(rng, pattern, &mut text);
    // An empty choice leaves a blank too many.
    for (slip, right) in [("  ", " "), (" .", "."), (" ,", ","), (" ?", "?")] {
        text = text.replace(slip, right);
    }
    text.trim_start_matches(' ').to_owned()
}

fn expand_into(rng: &mut Rng, pattern: &str, text: &mut String) {
    let mut rest = pattern;
    while let Some(at) = rest.find(['[', '{']) {
        text.push_str(&rest[..at]);
        let close = at + closing(&rest[at..]);
        let inner = &rest[at + 1..close];
        if rest[at..].starts_with('[') {
            let choices = choices(inner);
            let choice = rng.pick(&choices);
            expand_into(rng, choice, text);
        } else {
            text.push_str(&slot(rng, inner));
        }
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
}

/// Returns where the bracket that opens `pattern` is closed.
fn closing(pattern: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in pattern.char_indices() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    unreachable!("bracket without an end in the demo's wording: {pattern}")
}

fn choices(inner: &str) -> Vec<&str> {
    let mut depth = 0;
    inner
        .split(|letter| {
            match letter {
                '[' | '{' => depth += 1,
                ']' | '}' => depth -= 1,
                _ => {}
            }
            letter == '|' && depth == 0
        })
        .collect()
}

/// Draws an entity: a date, an amount, a name and so on.
pub fn slot(rng: &mut Rng, name: &str) -> String {
    let digits = |rng: &mut Rng, count: u32| {
        let low = 10_usize.pow(count - 1);
        rng.between(low, low * 10 - 1)
    };
    match name {
        "product" => rng.pick(corpus::PRODUCTS).to_owned(),
        "month" => rng.pick(corpus::MONTHS).to_owned(),
        "city" => rng.pick(corpus::CITIES).to_owned(),
        "surname" => rng.pick(corpus::SURNAMES).to_owned(),
        "name" => {
            format!("{} {}", rng.pick(corpus::FIRST_NAMES), rng.pick(corpus::SURNAMES))
        }
        "street" => format!("{} {}", rng.between(1, 180), rng.pick(corpus::STREETS)),
        "date" => date(rng),
        "amount" => amount(rng),
        "policy" => format!("HM-{}", digits(rng, 7)),
        "claim" => format!("C-{}-{}", rng.between(2024, 2025), digits(rng, 6)),
        "invoice" => format!("R{}", digits(rng, 8)),
        "number" => format!("{}/{}", digits(rng, 4), rng.between(20, 25)),
        "clause" => format!("{}.{}", rng.between(2, 19), rng.between(1, 9)),
        "plate" => format!("NH {} {}", rng.pick(&["AB", "KT", "RX", "ZE"]), digits(rng, 4)),
        "phone" => format!("0{} {}", digits(rng, 3), digits(rng, 6)),
        "iban" => {
            format!("XX{} {} {} {}", digits(rng, 2), digits(rng, 4), digits(rng, 4), digits(rng, 4))
        }
        other => unreachable!("unknown slot in the demo's wording: {other}"),
    }
}

fn date(rng: &mut Rng) -> String {
    let (day, month) = (rng.between(1, 28), rng.between(1, 12));
    let year = rng.between(2024, 2025);
    let name = corpus::MONTHS[month - 1];
    match rng.below(5) {
        0 => format!("{day} {name}"),
        1 => format!("{day} {name} {year}"),
        2 => format!("{day:02}.{month:02}.{year}"),
        3 => format!("{year}-{month:02}-{day:02}"),
        _ => format!("{name} {day}"),
    }
}

fn amount(rng: &mut Rng) -> String {
    let (euros, cents) = (rng.between(12, 4_900), rng.below(100));
    match rng.below(4) {
        0 => format!("EUR {euros}.{cents:02}"),
        1 => format!("{euros},{cents:02} €"),
        2 => format!("€{euros}"),
        _ => format!("{euros}.{cents:02} euros"),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_expands() {
        let shared = [
            corpus::GREETINGS,
            corpus::PHONE_NOTES,
            corpus::FORWARDS,
            corpus::CONNECTORS,
            corpus::OPENINGS,
            corpus::FILLERS,
            corpus::CLOSINGS,
            corpus::SIGNATURES,
            corpus::FOOTERS,
            corpus::VAGUE_SUBJECTS,
        ];
        let mut patterns: Vec<&str> = shared.concat();
        for category in CATEGORIES {
            patterns.extend(category.asks);
            patterns.extend(family_lines(category.family));
            category.sisters.iter().for_each(|sister| assert!(category_index(sister) < 16));
            for topic in category.topics {
                patterns.extend(topic.subjects);
                patterns.extend(topic.lines);
            }
        }
        let mut rng = Rng::new(1, 1, 1);
        for pattern in patterns {
            for _ in 0..20 {
                let text = expand(&mut rng, pattern);
                assert!(!text.contains(['[', ']', '{', '}', '|']), "{pattern} -> {text}");
                assert!(!text.contains("  ") && !text.trim().is_empty(), "{pattern} -> {text}");
            }
        }
    }

    #[test]
    fn choices_nest_and_may_be_empty() {
        let mut rng = Rng::new(1, 1, 1);
        let texts: Vec<String> = (0..60).map(|_| expand(&mut rng, "a [b [c|d]|] e.")).collect();
        for wanted in ["a b c e.", "a b d e.", "a e."] {
            assert!(texts.iter().any(|text| text == wanted), "{wanted}");
        }
    }
}
