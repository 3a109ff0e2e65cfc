//! How good probabilities are: accuracy, log-loss, calibration, and how well they rank errors.

/// Returns one line about scores, row-major with `classes` values a row.
pub(super) fn report(
    scores: &[f32],
    classes: usize,
    labels: &[u32],
    truth: Option<&[u32]>,
) -> String {
    let rows: Vec<&[f32]> = scores.chunks_exact(classes).collect();
    let best: Vec<u32> = rows.iter().map(|row| arg_max(row)).collect();
    let mut line = format!("| given: {}", quality(&rows, &best, labels));
    let disagree: Vec<usize> = (0..best.len()).filter(|&row| best[row] != labels[row]).collect();
    let flagged: Vec<usize> =
        disagree.iter().copied().filter(|&row| rows[row][best[row] as usize] > 0.9).collect();
    if let Some(truth) = truth {
        let right = flagged.iter().filter(|&&row| best[row] == truth[row]).count();
        let average = average_precision(&rows, labels, |row| truth[row] != labels[row]);
        line += &format!(
            " | truth: {} | AP {average:.4} right above .9: {:.3}",
            quality(&rows, &best, truth),
            right as f64 / flagged.len().max(1) as f64
        );
    }
    line + &format!(" ({} of {} disagreements)", flagged.len(), disagree.len())
}

/// Returns accuracy, log-loss and expected calibration error (15 bins) against some labels.
fn quality(rows: &[&[f32]], best: &[u32], labels: &[u32]) -> String {
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
        bins.iter().map(|(hits, confidence)| f64::abs(hits - confidence)).sum::<f64>() / count;
    format!("acc {:.4} log-loss {:.4} ece {error:.4}", hits / count, loss / count)
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

/// Returns the class of the largest value, the first of several.
pub(super) fn arg_max(row: &[f32]) -> u32 {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better) as u32
}
