//! Saved models: they score as before, outlive their corpus, and nothing else is taken for one.

use engine::classifier::ClassifierError;

use super::data::{Random, Records, unseen_texts};
use super::subject::{Failure, Subject, With, same};
use super::{CheckResult, Verdict};

/// Places at which a saved model is cut or damaged, at most.
const PLACES: usize = 200;

pub(super) fn saved_model(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(300);
    let corpus = subject.prepare(&records.texts, 2)?;
    let model = subject.fit(&*corpus, &records.lesson(), 2)?;
    let bytes = model.save().with("a model of 240 rows")?;
    let loaded = subject.plugin.load(&bytes).with("what it saved itself")?;
    if loaded.class_count() != records.classes {
        let classes = loaded.class_count();
        return Err(Failure::new(format!("a model of 4 classes is loaded as one of {classes}")));
    }
    let rows = records.held_out();
    let before = subject.predict(&*corpus, &*model, &rows, 2)?;
    let after = subject.predict(&*corpus, &*loaded, &rows, 2).with("a loaded model")?;
    same("the scores", &before, &after).with("a model that was saved and loaded")?;
    let again = loaded.save().with("a model that was loaded")?;
    same("the saved model", &bytes, &again).with("a model that was loaded and saved again")?;

    let others = unseen_texts(50);
    let other = subject.prepare(&others, 2)?;
    let rows: Vec<u32> = (0..50).collect();
    let what = "another corpus with unseen words";
    let before = subject.predict(&*other, &*model, &rows, 2).with(what)?;
    let after = subject.predict(&*other, &*loaded, &rows, 2).with(what)?;
    same("the scores", &before, &after).with(what)?;
    Ok(Verdict::Passed)
}

pub(super) fn corpus_dropped(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(100);
    let corpus = subject.prepare(&records.texts, 1)?;
    let model = subject.fit(&*corpus, &records.lesson(), 1)?;
    let rows = records.held_out();
    let before = subject.predict(&*corpus, &*model, &rows, 1)?;
    drop(corpus);
    let what = "a model whose corpus is gone";
    model.save().with(what)?;
    let corpus = subject.prepare(&records.texts, 1)?;
    let after = subject.predict(&*corpus, &*model, &rows, 1).with(what)?;
    same("the scores", &before, &after).with(what)?;
    Ok(Verdict::Passed)
}

pub(super) fn foreign_bytes(subject: &Subject<'_>) -> CheckResult {
    let records = Records::noisy(60);
    let corpus = subject.prepare(&records.texts, 1)?;
    let bytes = subject.fit(&*corpus, &records.lesson(), 1)?.save()?;
    for (what, foreign) in strangers() {
        refused(subject, &foreign, what)?;
    }
    let step = bytes.len() / PLACES + 1;
    for end in (0..bytes.len()).step_by(step).chain(bytes.len().checked_sub(1)) {
        let what = format!("a saved model cut at byte {end} of {}", bytes.len());
        refused(subject, &bytes[..end], &what)?;
    }
    for at in (0..bytes.len()).step_by(step) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        let what = format!("a saved model with byte {at} of {} damaged", bytes.len());
        refused(subject, &damaged, &what)?;
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    refused(subject, &longer, "a saved model with a byte too many")?;
    // The plugin is still there, and knows its own.
    subject.plugin.load(&bytes).with("its own model after all these")?;
    Ok(Verdict::Passed)
}

/// Bytes that are no model of any plugin under test.
fn strangers() -> Vec<(&'static str, Vec<u8>)> {
    let mut random = Random::new(5);
    let noise = (0..300).map(|_| random.below(256) as u8).collect();
    vec![
        ("300 bytes of 255", vec![0xff; 300]),
        ("300 bytes of 0", vec![0; 300]),
        ("300 bytes of noise", noise),
        ("a model of another plugin", other_plugins_model("another-plugin")),
        ("an empty zip file", [b"PK\x05\x06".as_slice(), &[0; 18]].concat()),
        ("a Python pickle", b"\x80\x04}\x94.".to_vec()),
        ("JSON", b"{\"classes\": 4}".to_vec()),
    ]
}

/// A sound model of a plugin made with the SDK, which frames models with the plugin's name.
fn other_plugins_model(name: &str) -> Vec<u8> {
    let payload: Vec<u8> = [0.25_f32; 4].iter().flat_map(|share| share.to_le_bytes()).collect();
    let classes = 4_u32;
    let mut checksum = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(classes);
    for word in payload.as_chunks::<8>().0 {
        checksum = (checksum ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3);
        checksum ^= checksum >> 29;
    }
    let mut bytes = b"RLBLMDL\x01".to_vec();
    bytes.push(name.len() as u8);
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&classes.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// Fails unless `load` says no in the way a plugin says no: a panic or a crash is no refusal.
fn refused(subject: &Subject<'_>, bytes: &[u8], what: &str) -> Result<(), Failure> {
    match subject.plugin.load(bytes) {
        Err(ClassifierError::Failed { .. }) => Ok(()),
        Err(error) => Err(error).with(what),
        Ok(model) => {
            let classes = model.class_count();
            Err(Failure::new(format!("{what} is loaded as a model of {classes} classes")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::other_plugins_model;

    #[test]
    fn the_other_plugins_model_is_a_sound_one() {
        use classifier_majority::Majority;
        // SAFETY: the SDK's own entry function keeps the contract.
        let majority =
            unsafe { crate::load_static(plugin_sdk::fill_table::<Majority>, "majority") }.unwrap();
        assert_eq!(majority.load(&other_plugins_model("majority")).unwrap().class_count(), 4);
        let error = majority.load(&other_plugins_model("another-plugin")).err().unwrap();
        assert!(error.to_string().contains("`another-plugin`"), "{error}");
    }
}
