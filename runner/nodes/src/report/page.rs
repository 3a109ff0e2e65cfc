//! The report as one HTML page: no script, no network, everything escaped.

use std::collections::BTreeMap;
use std::fmt::Write;

use engine::{NodeError, Tally, duration_text};

use super::charts;
use super::graph::Graph;
use super::numbers::{CONFIDENCE_BINS, Issue, Numbers};

const STYLE: &str = include_str!("style.css");

/// Classes of the noise table that are shown at once.
const MOST_CLASSES: usize = 20;

/// Text that is safe between tags and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters are not allowed in HTML at all.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A table of texts as it came from another node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub names: Vec<String>,
    /// Whether each column holds numbers.
    pub numeric: Vec<bool>,
    pub rows: Vec<Vec<String>>,
    /// Rows that were left out.
    pub more: usize,
}

/// Records that are the same under more than one label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conflict {
    pub exact: bool,
    pub labels: String,
    pub text: String,
    /// Record id and label of each.
    pub records: Vec<(String, String)>,
    pub more: usize,
}

/// Everything on a page.
pub(super) struct Page<'a> {
    pub title: &'a str,
    pub numbers: &'a Numbers,
    pub graph: &'a Graph,
    /// Conflicts to show, and how many groups there are; `None` if nobody looked for them.
    pub conflicts: Option<(&'a [Conflict], usize)>,
    /// Further tables with a heading, an id and a sentence.
    pub tables: &'a [(&'a str, &'a str, &'a str, Table)],
}

/// Writing to a string cannot fail.
macro_rules! put {
    ($page:expr, $($text:tt)*) => {
        write!($page, $($text)*).expect("a string takes any text")
    };
}

impl Page<'_> {
    /// `tallies` are of nodes by their names; with none, the page has nothing that differs from run
    /// to run.
    pub fn html(&self, tallies: &BTreeMap<String, Tally>) -> Result<String, NodeError> {
        let mut page = String::new();
        let title = escaped(self.title);
        put!(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        put!(page, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        put!(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n");
        put!(page, "<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n");
        put!(page, "<header>\n<h1>{title}</h1>\n");
        self.tiles(&mut page);
        self.contents(&mut page);
        put!(page, "</header>\n<main>\n");
        self.noise(&mut page);
        self.moves(&mut page);
        self.confidence(&mut page)?;
        self.issues(&mut page);
        self.conflicts(&mut page);
        for (heading, id, sentence, table) in self.tables {
            section(&mut page, id, heading, sentence);
            generic(&mut page, heading, table);
        }
        self.pipeline(&mut page, tallies)?;
        put!(
            page,
            "</main>\n<footer>Made by relabel from the results of the pipeline. The page is "
        );
        put!(page, "complete in itself: it loads nothing and runs no script.</footer>\n");
        put!(page, "</body>\n</html>\n");
        Ok(page)
    }

    fn tiles(&self, page: &mut String) {
        let numbers = self.numbers;
        put!(page, "<dl class=\"tiles\">\n");
        let mut tile = |name: &str, value: String| {
            put!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>\n");
        };
        tile("Records", grouped(numbers.records as u64));
        let share = numbers.suspicious as f64 / numbers.records.max(1) as f64;
        let count = grouped(numbers.suspicious as u64);
        tile("Labels that look wrong", format!("{count} ({})", percent(share)));
        if let Some(agreement) = numbers.agreement {
            tile("Predicted as labelled", percent(agreement));
        }
        if let Some(error) = numbers.calibration_error {
            tile("Calibration error", format!("{error:.3}"));
        }
        if let Some((_, groups)) = self.conflicts {
            tile("Same text, other label", format!("{} groups", grouped(groups as u64)));
        }
        put!(page, "</dl>\n");
    }

    fn contents(&self, page: &mut String) {
        let mut places = vec![
            ("noise", "Noise by class"),
            ("moves", "Given and proposed"),
            ("confidence", "Confidence"),
            ("issues", "Top issues"),
        ];
        places.extend(self.conflicts.map(|_| ("duplicates", "Duplicates")));
        places.extend(self.tables.iter().map(|(heading, id, ..)| (*id, *heading)));
        places.push(("pipeline", "Pipeline"));
        put!(page, "<nav aria-label=\"Contents\"><ul>\n");
        for (id, heading) in places {
            put!(page, "<li><a href=\"#{id}\">{heading}</a></li>\n");
        }
        put!(page, "</ul></nav>\n");
    }

    fn noise(&self, page: &mut String) {
        let classes = &self.numbers.classes;
        let estimated = classes.iter().any(|class| class.estimated.is_some());
        let sentence = match (estimated, self.numbers.confident_learning) {
            (true, _) => {
                "The share of each label that is wrong, as confident learning estimates it; the \
                 labels with most suspicious records come first."
            }
            (false, true) => {
                "The share of each label that looks wrong by confident learning; the labels with \
                 most suspicious records come first."
            }
            (false, false) => {
                "The share of each label whose records are predicted otherwise; the labels with \
                 most of them come first."
            }
        };
        section(page, "noise", "Noise by class", sentence);
        let rows = |page: &mut String, classes: &[super::numbers::ClassNoise]| {
            put!(page, "<div class=\"wide\"><table class=\"noise\"><thead><tr><th>Label</th>");
            put!(page, "<th class=\"n\">Records</th><th class=\"n\">Look wrong</th>");
            put!(page, "<th class=\"n\">Noise</th></tr></thead><tbody>\n");
            for class in classes {
                let width = 100.0 * class.share();
                put!(page, "<tr><th class=\"name\">{}", escaped(&class.category));
                put!(page, "<div class=\"bar\" style=\"width:{width:.1}%\"></div></th>");
                put!(page, "<td class=\"n\">{}</td>", grouped(class.records));
                put!(page, "<td class=\"n\">{}</td>", grouped(class.suspicious));
                put!(page, "<td class=\"n\">{}</td></tr>\n", percent(class.share()));
            }
            put!(page, "</tbody></table></div>\n");
        };
        let (first, more) = classes.split_at(classes.len().min(MOST_CLASSES));
        rows(page, first);
        if !more.is_empty() {
            put!(page, "<details><summary>{} more labels</summary>\n", more.len());
            rows(page, more);
            put!(page, "</details>\n");
        }
        put!(page, "</section>\n");
    }

    fn moves(&self, page: &mut String) {
        let moves = &self.numbers.moves;
        let sentence = "How many suspicious records carry the label of the row and are proposed \
                        the label of the column.";
        section(page, "moves", "Given and proposed labels", sentence);
        if moves.categories.is_empty() {
            put!(page, "<p>No record is proposed another label.</p>\n</section>\n");
            return;
        }
        let largest = moves.counts.iter().flatten().copied().max().unwrap_or(0).max(1);
        put!(page, "<div class=\"wide\" tabindex=\"0\" role=\"region\" ");
        put!(page, "aria-label=\"Given and proposed labels\"><table class=\"map\"><thead><tr>");
        put!(page, "<th scope=\"col\">given \\ proposed</th>");
        for name in &moves.categories {
            put!(page, "<th scope=\"col\">{}</th>", escaped(name));
        }
        put!(page, "</tr></thead><tbody>\n");
        for (given, counts) in moves.counts.iter().enumerate() {
            let name = escaped(&moves.categories[given]);
            put!(page, "<tr><th class=\"name\" scope=\"row\">{name}</th>");
            for (proposed, count) in counts.iter().enumerate() {
                let heat = *count as f64 / largest as f64;
                match (given == proposed, count) {
                    (true, _) => put!(page, "<td class=\"same\"></td>"),
                    (_, 0) => put!(page, "<td></td>"),
                    _ => put!(page, "<td style=\"--h:{heat:.2}\">{}</td>", grouped(*count)),
                }
            }
            put!(page, "</tr>\n");
        }
        put!(page, "</tbody></table></div>\n");
        if moves.others > 0 {
            let others = grouped(moves.others);
            put!(page, "<p class=\"muted\">{others} more between labels that are not shown.</p>\n");
        }
        put!(page, "</section>\n");
    }

    fn confidence(&self, page: &mut String) -> Result<(), NodeError> {
        let numbers = self.numbers;
        section(page, "confidence", "Confidence", "");
        put!(page, "<div class=\"plots\">\n<figure>{}", charts::confidence(&numbers.histogram)?);
        put!(page, "<figcaption>Records by the confidence of their prediction: ");
        put!(page, "<span class=\"key\" style=\"background:var(--accent)\"></span> predicted as ");
        put!(page, "labelled, <span class=\"key\" style=\"background:var(--alarm)\"></span> ");
        put!(page, "predicted otherwise.</figcaption></figure>\n");
        put!(page, "<figure>{}", charts::reliability(&numbers.reliability)?);
        put!(page, "<figcaption>How often predictions are the given label, by confidence. On the ");
        put!(
            page,
            "straight line they are so as often as they say. Wrong labels count as misses, "
        );
        put!(page, "so with noise a good model runs below it. Larger dots have more records.");
        put!(page, "</figcaption></figure>\n</div>\n<details><summary>The numbers</summary>\n");
        put!(page, "<div class=\"wide\"><table><thead><tr><th>Confidence</th>");
        put!(page, "<th class=\"n\">As labelled</th><th class=\"n\">Otherwise</th></tr></thead>");
        put!(page, "<tbody>\n");
        for (n, [agree, differ]) in numbers.histogram.iter().enumerate() {
            put!(page, "<tr><td>{}</td>", range(n));
            put!(page, "<td class=\"n\">{}</td>", grouped(*agree));
            put!(page, "<td class=\"n\">{}</td></tr>\n", grouped(*differ));
        }
        put!(page, "</tbody></table></div>\n<div class=\"wide\"><table><thead><tr>");
        put!(page, "<th>Confidence</th><th class=\"n\">Records</th><th class=\"n\">Mean</th>");
        put!(page, "<th class=\"n\">Right</th></tr></thead><tbody>\n");
        for bin in numbers.reliability.iter().filter(|bin| bin.records > 0) {
            let records = bin.records as f64;
            put!(page, "<tr><td>{:.3} to {:.3}</td>", bin.low, bin.high);
            put!(page, "<td class=\"n\">{}</td>", grouped(bin.records));
            put!(page, "<td class=\"n\">{:.3}</td>", bin.confidence / records);
            put!(page, "<td class=\"n\">{:.3}</td></tr>\n", bin.hits as f64 / records);
        }
        put!(page, "</tbody></table></div>\n</details>\n</section>\n");
        Ok(())
    }

    fn issues(&self, page: &mut String) {
        let (shown, all) = (self.numbers.issues.len(), self.numbers.suspicious);
        let sentence = match (shown, all) {
            (_, 0) => "No label looks wrong.".to_owned(),
            (shown, all) if shown == all => "Every label that looks wrong.".to_owned(),
            (shown, all) => format!(
                "The {shown} most suspicious of {} labels that look wrong.",
                grouped(all as u64)
            ),
        };
        section(page, "issues", "Top issues", &sentence);
        put!(page, "<ol class=\"items\">\n");
        for (n, issue) in self.numbers.issues.iter().enumerate() {
            issue_item(page, n + 1, issue);
        }
        put!(page, "</ol>\n</section>\n");
    }

    fn conflicts(&self, page: &mut String) {
        let Some((conflicts, groups)) = self.conflicts else { return };
        let sentence = match groups {
            0 => "No text stands under more than one label.".to_owned(),
            _ => format!(
                "{} groups of records have the same text, or nearly so, under more than one \
                 label: in each, one label at least is wrong or the labels overlap.",
                grouped(groups as u64)
            ),
        };
        section(page, "duplicates", "Same text, other label", &sentence);
        put!(page, "<ol class=\"items\">\n");
        for conflict in conflicts {
            put!(page, "<li><div class=\"move\">{}</div>", escaped(&conflict.labels));
            let kind = if conflict.exact { "the same words" } else { "nearly the same words" };
            put!(page, "<div class=\"facts\">{kind}");
            for (id, label) in &conflict.records {
                put!(page, " · {}: {}", escaped(id), escaped(label));
            }
            if conflict.more > 0 {
                put!(page, " · and {} more", conflict.more);
            }
            put!(page, "</div><p class=\"text\">{}</p></li>\n", escaped(&conflict.text));
        }
        put!(page, "</ol>\n");
        let more = groups.saturating_sub(conflicts.len());
        if more > 0 {
            put!(
                page,
                "<p class=\"muted\">{} more groups are not shown.</p>\n",
                grouped(more as u64)
            );
        }
        put!(page, "</section>\n");
    }

    fn pipeline(
        &self,
        page: &mut String,
        tallies: &BTreeMap<String, Tally>,
    ) -> Result<(), NodeError> {
        section(page, "pipeline", "Pipeline", "What the numbers come from.");
        let total = duration_text(charts::seconds(tallies));
        if !tallies.is_empty() {
            put!(page, "<p>Times and rows are as they were when this page was written. A node ");
            put!(page, "whose result was found in the cache has the time it took when it was ");
            put!(page, "computed; one that this page does not come from has none. Added up, they ");
            put!(
                page,
                "are {total}; a run whose nodes work side by side takes less. The bar in a "
            );
            put!(page, "box is its share of the sum.</p>\n");
        }
        let (drawn, width) = charts::pipeline(self.graph, tallies)?;
        put!(page, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Pipeline\">");
        put!(page, "<div style=\"width:{width}px\">{drawn}</div></div>\n");
        put!(page, "<details><summary>The nodes</summary><div class=\"wide\" tabindex=\"0\" ");
        put!(page, "role=\"region\" aria-label=\"The nodes\"><table><thead><tr>");
        put!(page, "<th scope=\"col\">Node</th><th scope=\"col\" class=\"n\">Took</th>");
        put!(page, "<th scope=\"col\" class=\"n\">Rows</th><th scope=\"col\">Kind</th>");
        put!(page, "<th scope=\"col\">Reads</th></tr></thead><tbody>\n");
        for (n, (name, kind)) in self.graph.nodes.iter().enumerate() {
            let inputs = self.graph.edges.iter().filter(|(_, to)| *to == n);
            let reads: Vec<&str> =
                inputs.map(|(from, _)| self.graph.nodes[*from].0.as_str()).collect();
            let tally = tallies.get(name);
            let took = tally.map(|tally| duration_text(tally.seconds)).unwrap_or_default();
            let rows = tally.and_then(|tally| tally.rows).map(grouped).unwrap_or_default();
            put!(page, "<tr><th scope=\"row\">{}</th><td class=\"n\">{took}</td>", escaped(name));
            put!(page, "<td class=\"n\">{rows}</td><td>{}</td>", escaped(kind));
            put!(page, "<td>{}</td></tr>\n", escaped(&reads.join(", ")));
        }
        put!(page, "</tbody>");
        if !tallies.is_empty() {
            put!(page, "<tfoot><tr><th scope=\"row\">Total</th><td class=\"n\">{total}</td>");
            put!(page, "<td></td><td></td><td></td></tr></tfoot>");
        }
        put!(page, "</table></div></details>\n</section>\n");
        Ok(())
    }
}

fn section(page: &mut String, id: &str, heading: &str, sentence: &str) {
    put!(page, "<section id=\"{id}\" aria-labelledby=\"{id}-heading\">\n");
    put!(page, "<h2 id=\"{id}-heading\">{}</h2>\n", escaped(heading));
    if !sentence.is_empty() {
        put!(page, "<p>{}</p>\n", escaped(sentence));
    }
}

fn issue_item(page: &mut String, place: usize, issue: &Issue) {
    let (given, proposed) = (escaped(&issue.given), escaped(&issue.proposed));
    put!(page, "<li><div class=\"move\">{place}. <del>{given}</del> ");
    if given == proposed {
        put!(page, "<ins>(no better label)</ins></div>");
    } else {
        put!(page, "&rarr; <ins>{proposed}</ins></div>");
    }
    put!(page, "<div class=\"facts\">{} · proposed {:.3}", escaped(&issue.id), issue.confidence);
    match issue.given_confidence {
        Some(confidence) => put!(page, " · given {confidence:.3}"),
        None => put!(page, " · the given label is no category"),
    }
    for reason in &issue.reasons {
        put!(page, " · {}", escaped(reason));
    }
    put!(page, "</div><p class=\"text\">{}</p></li>\n", escaped(&issue.text));
}

fn generic(page: &mut String, heading: &str, table: &Table) {
    let heading = escaped(heading);
    put!(page, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{heading}\">");
    put!(page, "<table class=\"told\"><thead><tr>");
    let class = |numeric: &bool| if *numeric { " class=\"n\"" } else { "" };
    for (name, numeric) in table.names.iter().zip(&table.numeric) {
        put!(page, "<th{}>{}</th>", class(numeric), escaped(&name.replace('_', " ")));
    }
    put!(page, "</tr></thead><tbody>\n");
    for row in &table.rows {
        put!(page, "<tr>");
        for (cell, numeric) in row.iter().zip(&table.numeric) {
            put!(page, "<td{}>{}</td>", class(numeric), escaped(cell));
        }
        put!(page, "</tr>\n");
    }
    put!(page, "</tbody></table></div>\n");
    if table.more > 0 {
        put!(page, "<p class=\"muted\">{} more rows are not shown.</p>\n", table.more);
    }
    put!(page, "</section>\n");
}

/// `12 345`, with spaces that do not break.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn percent(share: f64) -> String {
    let share = 100.0 * share;
    // With a space that does not break.
    if share != 0.0 && share < 9.95 {
        format!("{share:.1}\u{a0}%")
    } else {
        format!("{share:.0}\u{a0}%")
    }
}

fn range(n: usize) -> String {
    let edge = |n: usize| n as f64 / CONFIDENCE_BINS as f64;
    format!("{:.2} to {:.2}", edge(n), edge(n + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_record_is_markup() {
        assert_eq!(
            escaped("<a href='x'>&\"\u{0}"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}"
        );
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(12), grouped(0)), ("12".to_owned(), "0".to_owned()));
        assert_eq!([0.0, 0.012, 0.5].map(percent), ["0\u{a0}%", "1.2\u{a0}%", "50\u{a0}%"]);
    }
}
