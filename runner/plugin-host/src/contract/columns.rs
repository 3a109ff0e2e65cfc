//! Columns beside the text: a plugin with the capability `columns` learns from them, any other is
//! never given one, and has to ignore what it does not know.

use engine::classifier::{FurtherColumn, FurtherValues, Texts};

use super::subject::{Failure, Lesson, Subject, With, same};
use super::{CheckResult, Verdict};

const ROWS: u32 = 200;
const LEARNT: u32 = 150;
/// Every tenth value is missing; chance is right in a half.
const RIGHT_SHARE: f64 = 0.7;

/// Two classes told apart by one column alone; all texts are the same.
fn told_by(values: FurtherValues) -> Vec<FurtherColumn> {
    vec![FurtherColumn { name: "channel".to_owned(), values }]
}

/// The class of a row, in no step with the folds.
fn class(row: u32) -> u32 {
    row / 3 % 2
}

fn words() -> FurtherValues {
    let word = |row: u32| match row % 10 {
        0 => None,
        _ => Some(["by mail", "Schöner Laden"][class(row) as usize]),
    };
    FurtherValues::Words(Texts::from_strs((0..ROWS).map(word)))
}

fn numbers() -> FurtherValues {
    let number = |row: u32| match row % 10 {
        0 => f64::NAN,
        _ => [3.0, -1.0e4][class(row) as usize],
    };
    FurtherValues::Numbers((0..ROWS).map(number).collect())
}

pub(super) fn columns(subject: &Subject<'_>) -> CheckResult {
    let texts = vec!["the same words for all".to_owned(); ROWS as usize];
    let lesson = Lesson {
        rows: (0..LEARNT).collect(),
        labels: (0..LEARNT).map(class).collect(),
        weights: None,
        classes: 2,
    };
    if !subject.claims("columns") {
        let bare = subject.prepare(&texts, 1)?;
        let bare = subject.fit(&*bare, &lesson, 1)?.save()?;
        let corpus = subject.prepare_with(&texts, told_by(words()), 1)?;
        let model = subject.fit(&*corpus, &lesson, 1)?.save()?;
        same("the model without and with a column it does not know", &bare, &model)?;
        let text = "it does not have the capability `columns`, and ignores them";
        return Ok(Verdict::NotApplicable(text.to_owned()));
    }
    for (what, values) in [("a column of words", words()), ("a column of numbers", numbers())] {
        learns_from(subject, &texts, values, &lesson).with(what)?;
    }
    Ok(Verdict::Passed)
}

fn learns_from(
    subject: &Subject<'_>,
    texts: &[String],
    values: FurtherValues,
    lesson: &Lesson,
) -> Result<(), Failure> {
    let corpus = subject.prepare_with(texts, told_by(values), 2)?;
    let model = subject.fit(&*corpus, lesson, 2)?;
    let rows: Vec<u32> = (LEARNT..ROWS).collect();
    let scores = subject.predict(&*corpus, &*model, &rows, 2)?;
    let right = rows.iter().zip(scores.chunks_exact(2));
    let right = right.filter(|(row, scores)| u32::from(scores[1] > scores[0]) == class(**row));
    let share = right.count() as f64 / rows.len() as f64;
    if share < RIGHT_SHARE {
        let text = format!("{share:.2} of the rows it tells apart are right, which is chance");
        return Err(Failure::new(text));
    }
    // The saved model reads the same column of other records.
    let loaded = subject.plugin.load(&model.save()?)?;
    let again = subject.predict(&*corpus, &*loaded, &rows, 2)?;
    same("the scores of the saved model", &scores, &again)
}
