//! How good probabilities are: accuracy, log-loss, calibration error, and whether wrong labels come
//! first. Knows nothing of the classifier.

use crate::data::Data;

/// Prints one line about the probabilities of all rows.
pub fn report(data: &Data, scores: &[f32]) {
    let rows: Vec<&[f32]> = scores.chunks_exact(data.classes).collect();
    let best: Vec<u32> = rows.iter().map(|row| arg_max(row)).collect();
    let (accuracy, log_loss, error) = quality(&rows, &best, &data.labels);
    print!(" | given: accuracy {accuracy:.4} log-loss {log_loss:.4} ece {error:.4}");
    let disagree: Vec<usize> =
        (0..best.len()).filter(|&row| best[row] != data.labels[row]).collect();
    let flagged: Vec<usize> =
        disagree.iter().copied().filter(|&row| rows[row][best[row] as usize] > 0.9).collect();
    if let Some(truth) = &data.truth {
        let (accuracy, log_loss, error) = quality(&rows, &best, truth);
        print!(" | truth: accuracy {accuracy:.4} log-loss {log_loss:.4} ece {error:.4}");
        print!(" balanced {:.4}", balanced_accuracy(&best, truth, data.classes));
        let right = flagged.iter().filter(|&&row| best[row] == truth[row]).count();
        let wrong = |row: usize| truth[row] != data.labels[row];
        let average = average_precision(&rows, &data.labels, wrong);
        print!(" | AP {average:.4} right {:.3}", right as f64 / flagged.len().max(1) as f64);
    }
    println!(" | above 0.9: {} of {} that disagree", flagged.len(), disagree.len());
}

/// Returns accuracy, log-loss and expected calibration error against some labels.
fn quality(rows: &[&[f32]], best: &[u32], labels: &[u32]) -> (f64, f64, f64) {
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
        bins.iter().map(|(hits, confidence)| (hits - confidence).abs()).sum::<f64>() / count;
    (hits / count, loss / count, error)
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

fn arg_max(row: &[f32]) -> u32 {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better) as u32
}

/// The mean over classes of how many of their rows are found.
fn balanced_accuracy(best: &[u32], labels: &[u32], classes: usize) -> f64 {
    let mut found = vec![(0.0, 0.0); classes];
    for (&best, &label) in best.iter().zip(labels) {
        let class = &mut found[label as usize];
        class.0 += f64::from(u8::from(best == label));
        class.1 += 1.0;
    }
    let present: Vec<f64> =
        found.iter().filter(|class| class.1 > 0.0).map(|class| class.0 / class.1).collect();
    present.iter().sum::<f64>() / present.len() as f64
}
