//! Input at the edge of what there is: texts of any kind, next to no rows, very many classes.

use engine::classifier::ClassifierError;

use super::data::Records;
use super::subject::{Failure, Lesson, Subject, With, quietly};
use super::{CheckResult, Verdict};

const MEGABYTE: usize = 1 << 20;
const MANY_CLASSES: u32 = 1000;

/// Texts that have been trouble somewhere, each with a name.
fn hard() -> Vec<(&'static str, String)> {
    let text = |text: &str| text.to_owned();
    vec![
        ("an empty text", text("")),
        ("white space", text(" \t\r\n\u{a0}\u{2003}\u{3000}")),
        ("one letter", text("a")),
        ("a document of one megabyte", "unending story ".repeat(MEGABYTE / 15)),
        ("a word of one megabyte", "x".repeat(MEGABYTE)),
        ("emoji", text("😀👩‍👩‍👧‍👦🏳️‍🌈 🇩🇪")),
        ("NUL and control characters", text("a\u{0}b\u{1}\u{7f}\u{85}c")),
        ("right-to-left text", text("\u{202e}שלום مرحبا\u{202c}")),
        ("Chinese, Japanese and Korean", text("信用卡丢了 カード紛失 카드를 잃어버렸어요")),
        ("combining marks", format!("e{} Zalgo", "\u{301}\u{323}".repeat(500))),
        ("only punctuation", text("?!… — “”")),
        ("the byte order mark and non-characters", text("\u{feff}\u{fffe}\u{10ffff}")),
    ]
}

pub(super) fn hard_texts(subject: &Subject<'_>) -> CheckResult {
    // One at a time, so that the failure names the text; then all together.
    for (name, text) in hard() {
        let texts = [text, "a plain text".to_owned()];
        learn_and_score(subject, &texts, &[0, 1], 2).with(name)?;
    }
    let texts: Vec<String> = hard().into_iter().map(|(_, text)| text).collect();
    let labels: Vec<u32> = (0..texts.len() as u32).map(|row| row % 3).collect();
    learn_and_score(subject, &texts, &labels, 3).with("all hard texts together")?;
    // A model of plain texts meets them for the first time.
    let records = Records::easy(40);
    let plain = subject.prepare(&records.texts, 1)?;
    let model = subject.fit(&*plain, &records.lesson(), 1)?;
    let corpus = subject.prepare(&texts, 1)?;
    let rows: Vec<u32> = (0..texts.len() as u32).collect();
    subject.predict(&*corpus, &*model, &rows, 1).with("hard texts for a model of plain ones")?;
    Ok(Verdict::Passed)
}

/// Learns from every text and scores every text; from none, one that is there all the same.
fn learn_and_score(
    subject: &Subject<'_>,
    texts: &[String],
    labels: &[u32],
    classes: u32,
) -> Result<(), Failure> {
    let corpus = subject.prepare(texts, 2)?;
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    let lesson = Lesson { rows, labels: labels.to_vec(), weights: None, classes };
    let model = subject.fit(&*corpus, &lesson, 2)?;
    let asked: Vec<u32> = (0..texts.len() as u32).collect();
    subject.predict(&*corpus, &*model, &asked, 2)?;
    subject.predict(&*corpus, &*model, &[], 2).with("no rows to predict")?;
    let loaded = subject.plugin.load(&model.save()?)?;
    subject.predict(&*corpus, &*loaded, &asked, 2)?;
    Ok(())
}

pub(super) fn few_rows(subject: &Subject<'_>) -> CheckResult {
    let texts = Records::easy(8).texts;
    let cases: [(&str, &[u32], u32); 7] = [
        ("one training row", &[1], 2),
        ("two training rows of two classes", &[0, 1], 2),
        ("two training rows of one class", &[1, 1], 3),
        ("all training rows of one class", &[2; 8], 4),
        ("classes without rows, at both ends", &[1, 2, 1, 2, 1, 2, 1, 2], 5),
        ("a row a class", &[0, 1, 2, 3, 4, 5, 6, 7], 8),
        ("no training rows", &[], 4),
    ];
    for (what, labels, classes) in cases {
        learn_and_score(subject, &texts, labels, classes).with(what)?;
    }
    subject.prepare(&[], 1).with("a corpus without texts")?;
    Ok(Verdict::Passed)
}

pub(super) fn many_classes(subject: &Subject<'_>) -> CheckResult {
    let texts: Vec<String> =
        (0..3 * MANY_CLASSES).map(|row| format!("topic{} and more", row % MANY_CLASSES)).collect();
    let corpus = subject.prepare(&texts, 2)?;
    let lesson = Lesson {
        rows: (0..2 * MANY_CLASSES).collect(),
        labels: (0..2 * MANY_CLASSES).map(|row| row % MANY_CLASSES).collect(),
        weights: None,
        classes: MANY_CLASSES,
    };
    let model = match quietly(2, |context| corpus.fit(lesson.request(), context)) {
        Ok(model) => model,
        Err(error) if names_a_parameter(subject, &error) => return Ok(Verdict::Passed),
        Err(error) => {
            return Err(error).with("1,000 classes (an error may name a parameter to lower)");
        }
    };
    let rows: Vec<u32> = (2 * MANY_CLASSES..3 * MANY_CLASSES).collect();
    subject.predict(&*corpus, &*model, &rows, 2).with("1,000 classes")?;
    Ok(Verdict::Passed)
}

fn names_a_parameter(subject: &Subject<'_>, error: &ClassifierError) -> bool {
    let ClassifierError::Failed { message, .. } = error else { return false };
    let properties = subject.plugin.description().params_schema["properties"].as_object();
    properties.into_iter().flatten().any(|(name, _)| message.contains(&format!("`{name}`")))
}
