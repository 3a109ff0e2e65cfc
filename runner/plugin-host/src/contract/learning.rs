//! What a plugin learns: probabilities, better than chance, the same every time, from its rows only.

use super::data::{Records, is_held_out};
use super::subject::{Failure, Lesson, Subject, With, same, same_fold};
use super::{CheckResult, Verdict};

/// Enough rows that a plugin has reason to use several threads.
const THREADED_ROWS: usize = 4000;
const THREADS: [usize; 4] = [1, 2, 3, 8];

/// Share of right answers wanted on easy records. Chance has 0.25 of 80 held-out rows; this is
/// three standard deviations above, so that no plugin passes by luck.
const EASY_SHARE: f64 = 0.4;

/// How far scores with weights of 1 may be from scores without: rounding of sums.
const WEIGHT_TOLERANCE: f32 = 1e-4;

pub(super) fn probabilities(subject: &Subject<'_>) -> CheckResult {
    for records in [Records::easy(200), Records::noisy(200)] {
        subject.fold(&records, 2).with("200 made-up records of 4 classes")?;
    }
    Ok(Verdict::Passed)
}

pub(super) fn learns(subject: &Subject<'_>) -> CheckResult {
    if subject.claims("reference") {
        let text = "it has the capability `reference`: others are measured against it";
        return Ok(Verdict::NotApplicable(text.to_owned()));
    }
    let records = Records::easy(400);
    let scores = subject.fold(&records, 2)?.scores;
    let held_out = records.held_out();
    let right = held_out.iter().zip(scores.chunks_exact(records.classes as usize));
    let right =
        right.filter(|(row, scores)| best(scores) == records.labels[**row as usize]).count();
    let share = right as f64 / held_out.len() as f64;
    if share < EASY_SHARE {
        let all = held_out.len();
        return Err(Failure::new(format!(
            "{right} of {all} easy records of 4 classes are right, which is no better than chance; \
             a plugin that is a yardstick and no classifier has the capability `reference`"
        )));
    }
    Ok(Verdict::Passed)
}

/// The class with the highest score, the first of equals.
fn best(scores: &[f32]) -> u32 {
    let best = (0..scores.len()).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    best.unwrap_or_default() as u32
}

pub(super) fn same_seed(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(500);
    let first = subject.fold(&records, 2)?;
    for time in ["a second", "a third"] {
        let again = subject.fold(&records, 2)?;
        same_fold(&first, &again).with(format!("500 records and the same seed {time} time"))?;
    }
    Ok(Verdict::Passed)
}

pub(super) fn threads(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(THREADED_ROWS);
    let one = subject.fold(&records, 1)?;
    for threads in THREADS {
        let what = format!("{THREADED_ROWS} records on 1 and on {threads} threads");
        let fold = subject.fold(&records, threads).with(&what)?;
        same_fold(&one, &fold).with(&what)?;
    }
    Ok(Verdict::Passed)
}

pub(super) fn held_out(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(1000);
    let mut other = records.clone();
    for row in (0..other.texts.len()).filter(|row| is_held_out(*row)) {
        other.texts[row] = format!("w1 invoice {row} router never seen {}", records.texts[row]);
        other.labels[row] = (records.labels[row] + 1) % records.classes;
    }
    let model = subject.fold(&records, 1)?.model;
    let changed = subject.fold(&other, 1)?.model;
    same("the saved model", &model, &changed)
        .with("other texts and labels in the held-out rows")?;
    Ok(Verdict::Passed)
}

pub(super) fn weights(subject: &Subject<'_>) -> CheckResult {
    if !subject.claims("weights") {
        let text = "it does not have the capability `weights`";
        return Ok(Verdict::NotApplicable(text.to_owned()));
    }
    // Class 0 again at the end, so that its rows can be doubled without naming a row twice.
    let records = Records::noisy(300);
    let first_class: Vec<usize> = (0..300).filter(|&row| records.labels[row] == 0).collect();
    let mut texts = records.texts.clone();
    texts.extend(first_class.iter().map(|&row| records.texts[row].clone()));
    let corpus = subject.prepare(&texts, 2)?;
    // Texts that say little, where the class shares decide.
    let asked: Vec<u32> = (0..300).filter(|row| records.texts[*row as usize].len() < 12).collect();
    let scores = |lesson: &Lesson, what: &str| {
        let model = subject.fit(&*corpus, lesson, 2).with(what)?;
        subject.predict(&*corpus, &*model, &asked, 2).with(what)
    };
    let plain = Lesson {
        rows: (0..300).collect(),
        labels: records.labels.clone(),
        weights: None,
        classes: records.classes,
    };
    let ones = Lesson { weights: Some(vec![1.0; 300]), ..plain.clone() };
    let twos = plain.labels.iter().map(|&label| if label == 0 { 2.0 } else { 1.0 }).collect();
    let twos = Lesson { weights: Some(twos), ..plain.clone() };
    let mut doubled = plain.clone();
    doubled.rows = (0..texts.len() as u32).collect();
    doubled.labels.resize(texts.len(), 0);

    let without = scores(&plain, "no weights")?;
    let with_ones = scores(&ones, "weights of 1")?;
    let off = |(left, right): (&f32, &f32)| (left - right).abs() > WEIGHT_TOLERANCE;
    if let Some(at) = without.iter().zip(&with_ones).position(off) {
        let (left, right) = (without[at], with_ones[at]);
        return Err(Failure::new(format!("a score is {left} without weights, {right} with all 1")));
    }
    let classes = records.classes as usize;
    let share = |scores: &[f32]| -> f64 {
        scores.chunks_exact(classes).map(|row| f64::from(row[0])).sum::<f64>()
    };
    let base = share(&without);
    let weighted = share(&scores(&twos, "weights of 2 for one class")?);
    let doubled = share(&scores(&doubled, "the rows of one class twice")?);
    // Which way it goes is the classifier's affair; that both go the same way is not.
    if (weighted - base) * (doubled - base) <= 0.0 {
        let rows = asked.len() as f64;
        return Err(Failure::new(format!(
            "the mean probability of class 0 is {:.4}; with its rows doubled {:.4}, with weights \
             of 2 {:.4}: both should move the same way",
            base / rows,
            doubled / rows,
            weighted / rows,
        )));
    }
    Ok(Verdict::Passed)
}
