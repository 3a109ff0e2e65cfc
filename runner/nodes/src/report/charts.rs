//! The drawings of a report as SVG whose colours are CSS variables, so that one drawing serves
//! light and dark. Knows nothing of frames.
//!
//! Everything is drawn at twice its size on the page, for places are whole pixels.

use std::collections::BTreeMap;
use std::fmt::Display;

use engine::{NodeError, Tally, duration_text};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::graph::{Graph, Slot};
use super::numbers::CONFIDENCE_BINS;
use crate::reliability::{BINS, Bin};

/// A colour that stands for a variable until the drawing is done.
const fn stand_in(n: u8) -> RGBColor {
    RGBColor(1, 2, n)
}

const INK: RGBColor = stand_in(1);
const MUTED: RGBColor = stand_in(2);
const LINE: RGBColor = stand_in(3);
const ACCENT: RGBColor = stand_in(4);
const ALARM: RGBColor = stand_in(5);
const SHEET: RGBColor = stand_in(6);

const VARIABLES: [(u8, &str); 6] =
    [(1, "ink"), (2, "muted"), (3, "line"), (4, "accent"), (5, "alarm"), (6, "sheet")];

/// Size of a plot.
const PLOT: (u32, u32) = (880, 560);
const FONT: u32 = 32;

/// Sizes of the pipeline's drawing.
const BOX: (i32, i32) = (320, 130);
/// Height of the bar that says which share of the time a node took.
const BAR: i32 = 10;
const GAP: (i32, i32) = (32, 72);
/// Room for an edge that runs past a layer.
const LANE: i32 = 16;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn failed(error: impl Display) -> NodeError {
    NodeError::Internal(format!("a drawing failed: {error}"))
}

/// Draws and puts variables in place of their stand-ins; `label` is for those who cannot see it.
fn svg(
    size: (u32, u32),
    label: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), NodeError>,
) -> Result<String, NodeError> {
    let mut text = String::new();
    {
        let canvas = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&canvas)?;
        canvas.present().map_err(failed)?;
    }
    for (n, name) in VARIABLES {
        text = text.replace(&format!("\"#0102{n:02X}\""), &format!("\"var(--{name})\""));
    }
    let opening = format!("<svg role=\"img\" aria-label=\"{}\" ", super::page::escaped(label));
    Ok(text.replacen("<svg ", &opening, 1))
}

fn label_style(colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", FONT).into_font().color(&colour)
}

/// How many records have which confidence, those that disagree with their label on top.
pub(super) fn confidence(bins: &[[u64; 2]; CONFIDENCE_BINS]) -> Result<String, NodeError> {
    let highest = bins.iter().map(|[agree, differ]| agree + differ).max().unwrap_or(0).max(1);
    let label = "Histogram of the confidence of predictions; the numbers are in the table below";
    svg(PLOT, label, |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin(10)
            .margin_top(22)
            .margin_right(30)
            .x_label_area_size(84)
            .y_label_area_size(124)
            .build_cartesian_2d(0.0..1.0, 0.0..highest as f64 * 1.05)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(MUTED)
            .label_style(label_style(INK))
            .axis_desc_style(label_style(MUTED))
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&|x| format!("{x:.1}"))
            .y_label_formatter(&|y| short(*y))
            .x_desc("confidence")
            .y_desc("records")
            .draw()
            .map_err(failed)?;
        let edge = |n: usize| n as f64 / CONFIDENCE_BINS as f64;
        let bar = |n: usize, from: u64, to: u64, colour: RGBColor| {
            let corners = [(edge(n) + 0.003, from as f64), (edge(n + 1) - 0.003, to as f64)];
            Rectangle::new(corners, colour.filled())
        };
        let filled = || bins.iter().enumerate();
        let agree = filled().filter(|(_, bin)| bin[0] > 0);
        chart.draw_series(agree.map(|(n, bin)| bar(n, 0, bin[0], ACCENT))).map_err(failed)?;
        let differ = filled().filter(|(_, bin)| bin[1] > 0);
        let differ = differ.map(|(n, bin)| bar(n, bin[0], bin[0] + bin[1], ALARM));
        chart.draw_series(differ).map_err(failed)?;
        Ok(())
    })
}

/// `1200000` as `1.2M`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        _ if value >= 1e6 => (value / 1e6, "M"),
        _ if value >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    if (scaled - scaled.round()).abs() < 0.05 {
        format!("{scaled:.0}{unit}")
    } else {
        format!("{scaled:.1}{unit}")
    }
}

/// How often predictions of a confidence are right; on the diagonal, as often as they say.
pub(super) fn reliability(bins: &[Bin; BINS]) -> Result<String, NodeError> {
    let label = "Share of right predictions by confidence; the numbers are in the table below";
    let points: Vec<(f64, f64, u64)> = bins
        .iter()
        .filter(|bin| bin.records > 0)
        .map(|bin| {
            let records = bin.records as f64;
            (bin.confidence / records, bin.hits as f64 / records, bin.records)
        })
        .collect();
    let most = points.iter().map(|(.., records)| *records).max().unwrap_or(1) as f64;
    svg(PLOT, label, |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin(10)
            .margin_top(22)
            .margin_right(30)
            .x_label_area_size(84)
            .y_label_area_size(124)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(MUTED)
            .label_style(label_style(INK))
            .axis_desc_style(label_style(MUTED))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.1}"))
            .y_label_formatter(&|y| format!("{y:.1}"))
            .x_desc("confidence")
            .y_desc("share that is right")
            .draw()
            .map_err(failed)?;
        let diagonal = PathElement::new([(0.0, 0.0), (1.0, 1.0)], MUTED.stroke_width(3));
        chart.draw_series([diagonal]).map_err(failed)?;
        let line: Vec<(f64, f64)> = points.iter().map(|(x, y, _)| (*x, *y)).collect();
        chart.draw_series([PathElement::new(line, ACCENT.stroke_width(5))]).map_err(failed)?;
        let dots = points.iter().map(|(x, y, records)| {
            // The area says how many records there are.
            let radius = 6.0 + 12.0 * (*records as f64 / most).sqrt();
            Circle::new((*x, *y), radius.round() as i32, ACCENT.filled())
        });
        chart.draw_series(dots).map_err(failed)?;
        Ok(())
    })
}

/// The pipeline, inputs above what reads them, with what is known of the nodes by their names.
/// Gives its width on the page too.
pub(super) fn pipeline(
    graph: &Graph,
    tallies: &BTreeMap<String, Tally>,
) -> Result<(String, u32), NodeError> {
    let layers = graph.layers();
    let room = |slot: &Slot| if matches!(slot, Slot::Node(_)) { BOX.0 } else { LANE };
    let row = |slots: &[Slot]| slots.iter().map(|slot| room(slot) + GAP.0).sum::<i32>() - GAP.0;
    let width = layers.iter().map(|slots| row(slots)).max().unwrap_or(BOX.0) + 2 * GAP.0;
    let height = layers.len() as i32 * (BOX.1 + GAP.1) - GAP.1 + 16;
    let mut corner = vec![(0, 0); graph.nodes.len()];
    // The places where an edge runs past a layer, at its upper end.
    let mut passed: Vec<Vec<(i32, i32)>> = vec![Vec::new(); graph.edges.len()];
    for (depth, slots) in layers.iter().enumerate() {
        let y = 8 + depth as i32 * (BOX.1 + GAP.1);
        let mut x = (width - row(slots)) / 2;
        for slot in slots {
            match slot {
                Slot::Node(node) => corner[*node] = (x, y),
                Slot::Edge(edge) => passed[*edge].push((x + LANE / 2, y)),
            }
            x += room(slot) + GAP.0;
        }
    }
    let size = (width as u32, height.max(BOX.1) as u32);
    let total = seconds(tallies).max(f64::MIN_POSITIVE);
    let drawn = svg(size, "The pipeline; its nodes are in the table below", |canvas| {
        for ((from, to), passed) in graph.edges.iter().zip(&passed) {
            let mut start = (corner[*from].0 + BOX.0 / 2, corner[*from].1 + BOX.1);
            let end = (corner[*to].0 + BOX.0 / 2, corner[*to].1);
            let mut line = Vec::new();
            for (x, y) in passed {
                line.extend(curve(start, (*x, *y)));
                start = (*x, y + BOX.1);
            }
            line.extend(curve(start, (end.0, end.1 - 10)));
            let path = PathElement::new(line, MUTED.stroke_width(3));
            canvas.draw(&path).map_err(failed)?;
            let tip = [(end.0 - 8, end.1 - 14), (end.0 + 8, end.1 - 14), end];
            canvas.draw(&Polygon::new(tip, MUTED.filled())).map_err(failed)?;
        }
        for ((name, kind), corner) in graph.nodes.iter().zip(&corner) {
            let tally = tallies.get(name);
            let share = tally.map_or(0.0, |tally| tally.seconds) / total;
            node(canvas, *corner, [name, kind, &tally.map(told).unwrap_or_default()], share)?;
        }
        Ok(())
    })?;
    Ok((drawn, size.0 / 2))
}

/// A box with lines of text, of which the last may be empty, and a bar for its share of the time.
fn node(
    canvas: &Canvas<'_>,
    (x, y): (i32, i32),
    texts: [&str; 3],
    share: f64,
) -> Result<(), NodeError> {
    let corners = [(x, y), (x + BOX.0, y + BOX.1)];
    canvas.draw(&Rectangle::new(corners, SHEET.filled())).map_err(failed)?;
    canvas.draw(&Rectangle::new(corners, MUTED.stroke_width(2))).map_err(failed)?;
    let bar = (f64::from(BOX.0) * share).round() as i32;
    if bar > 0 {
        let corners = [(x, y + BOX.1 - BAR), (x + bar, y + BOX.1)];
        canvas.draw(&Rectangle::new(corners, ACCENT.filled())).map_err(failed)?;
    }
    // Two lines stand a little lower than three.
    let first = if texts[2].is_empty() { 46 } else { 28 };
    for (n, (text, colour)) in texts.into_iter().zip([INK, MUTED, INK]).enumerate() {
        let middle = (x + BOX.0 / 2, y + first + 34 * n as i32);
        let style = label_style(colour).pos(Pos::new(HPos::Center, VPos::Center));
        canvas.draw(&Text::new(clipped(text), middle, style)).map_err(failed)?;
    }
    Ok(())
}

/// All seconds added up.
pub(super) fn seconds(tallies: &BTreeMap<String, Tally>) -> f64 {
    tallies.values().map(|tally| tally.seconds).sum()
}

/// `1.2 s · 1.5k rows`.
fn told(tally: &Tally) -> String {
    let took = duration_text(tally.seconds);
    match tally.rows {
        Some(1) => format!("{took} \u{b7} 1 row"),
        Some(rows) => format!("{took} \u{b7} {} rows", short(rows as f64)),
        None => took,
    }
}

/// As much of a text as fits into a box.
fn clipped(name: &str) -> String {
    match name.char_indices().nth(21) {
        None => name.to_owned(),
        Some((at, _)) => format!("{}\u{2026}", &name[..at]),
    }
}

/// From one place to one below it: a cubic Bézier curve as short lines.
fn curve(start: (i32, i32), end: (i32, i32)) -> Vec<(i32, i32)> {
    let (x0, y0) = (f64::from(start.0), f64::from(start.1));
    let (x1, y1) = (f64::from(end.0), f64::from(end.1));
    let bend = (y1 - y0) / 2.0;
    (0..=16)
        .map(|n| {
            let t = f64::from(n) / 16.0;
            let s = 1.0 - t;
            let (a, b, c, d) = (s * s * s, 3.0 * s * s * t, 3.0 * s * t * t, t * t * t);
            let x = (a + b) * x0 + (c + d) * x1;
            let y = a * y0 + b * (y0 + bend) + c * (y1 - bend) + d * y1;
            (x.round() as i32, y.round() as i32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stand_in_is_left_and_names_are_escaped() {
        let nodes = vec![("a<b>".to_owned(), "source".to_owned()), ("c".into(), "filter".into())];
        let graph = Graph { nodes, edges: vec![(0, 1)] };
        let tally = Tally { seconds: 0.14, rows: Some(1500) };
        let (drawn, width) = pipeline(&graph, &BTreeMap::from([("c".into(), tally)])).unwrap();
        assert!(width < 360, "a small pipeline fits on a phone: {width}");
        assert!(drawn.contains("140 ms \u{b7} 1.5k rows"), "{drawn}");
        let (drawn_without, _) = pipeline(&graph, &BTreeMap::new()).unwrap();
        assert!(!drawn_without.contains(" ms") && !drawn_without.contains("accent"));
        let mut bins = [[3, 1]; CONFIDENCE_BINS];
        bins[4] = [0, 0];
        let histogram = confidence(&bins).unwrap();
        let mut curve = [Bin::default(); BINS];
        curve[7] = Bin { records: 4, hits: 2, confidence: 2.0, low: 0.4, high: 0.6 };
        for text in [drawn, histogram, reliability(&curve).unwrap()] {
            assert!(!text.contains("#0102"), "{text}");
            assert!(!text.contains("<b>") && text.contains("var(--"));
        }
        // Nothing to draw is no reason to fail.
        confidence(&[[0; 2]; CONFIDENCE_BINS]).unwrap();
        reliability(&[Bin::default(); BINS]).unwrap();
    }

    #[test]
    fn large_counts_are_short() {
        assert_eq!(
            [0.0, 950.0, 1500.0, 20_000.0, 2e6].map(short),
            ["0", "950", "1.5k", "20k", "2M"]
        );
    }
}
