//! The reference plugin gives the same bytes called directly, through a static table and through
//! dlopen; and the plugin in C works.

use classifier_majority::Majority;
use engine::classifier::{ClassifierSourceError, PluginRequest};
use plugin_sdk::{Classifier, Context, Texts, Training};

use crate::support::{compile, error_of, one_fold, records, shipped, try_load};

#[test]
fn majority_is_the_same_on_all_three_ways() {
    let (texts, labels) = records(200);
    // SAFETY: the SDK's own entry function keeps the contract.
    let linked =
        unsafe { plugin_host::load_static(plugin_sdk::fill_table::<Majority>, "majority") };
    let through_table = one_fold(&*linked.unwrap(), &texts, &labels, 1).unwrap();
    let opened = try_load(&shipped(), "majority").unwrap();
    let through_library = one_fold(&*opened, &texts, &labels, 2).unwrap();
    assert_eq!(through_table, through_library);
    assert_eq!(through_table.1, direct(&texts, &labels));
}

fn direct(texts: &[String], labels: &[u32]) -> Vec<f32> {
    let context = Context::quiet();
    let joined = texts.concat();
    let mut offsets = vec![0];
    for text in texts {
        offsets.push(offsets[offsets.len() - 1] + text.len() as i64);
    }
    let view = Texts::new(&offsets, &joined).unwrap();
    let corpus = Majority::prepare(Default::default(), &view, &context).unwrap();
    let (held_out, rows): (Vec<u32>, Vec<u32>) =
        (0..texts.len() as u32).partition(|row| row % 5 == 0);
    let labels: Vec<u32> = rows.iter().map(|&row| labels[row as usize]).collect();
    let training =
        Training { rows: &rows, labels: &labels, weights: None, class_count: 3, seed: 3 };
    let model = Majority::fit(&corpus, &training, &context).unwrap();
    let mut scores = vec![0.0; held_out.len() * 3];
    Majority::predict(&corpus, &model, &held_out, &mut scores, &context).unwrap();
    // As the host does with what it gets.
    for row in scores.chunks_exact_mut(3) {
        let sum: f64 = row.iter().map(|&value| f64::from(value)).sum();
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / sum) as f32);
    }
    scores
}

#[test]
fn the_example_in_c_is_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let file = compile("../../examples/plugin-c/plugin.c", None, folder.path(), "plugin-in-c");
    let (texts, labels) = records(100);
    let source = plugin_host::PluginSource::new(vec![folder.path().to_path_buf()]);
    let named = try_load(&source, "plugin-in-c").unwrap();
    let by_path = try_load(&source, file.to_str().unwrap()).unwrap();
    assert_eq!(named.description(), by_path.description());
    assert_eq!(named.description().file_digest.len(), 64);
    let (bytes, scores) = one_fold(&*named, &texts, &labels, 1).unwrap();
    assert_eq!(scores.len(), 20 * 3);
    for end in (0..bytes.len()).step_by(97) {
        let message = error_of(by_path.load(&bytes[..end]));
        assert!(message.starts_with("plugin `plugin-in-c` failed in load: "), "{message}");
    }
}

#[test]
fn the_list_holds_what_is_shipped() {
    let source = shipped();
    let found = source.list();
    let description = |name: &str| {
        let plugin = found.iter().find(|plugin| plugin.name == name).unwrap();
        plugin.description.clone().unwrap()
    };
    for name in ["linear", "majority", "naive-bayes"] {
        let description = description(name);
        assert_eq!(description.name, name);
        assert_eq!(description.params_schema["additionalProperties"], false, "{name}");
        for (property, schema) in description.params_schema["properties"].as_object().unwrap() {
            assert!(schema.get("default").is_some(), "{name}: {property} has no default");
        }
    }
}

#[test]
fn an_unknown_name_comes_with_the_known_ones() {
    use engine::classifier::ClassifierSource;
    for name in ["lineal", "./lineal.so", "Linear", "../linear"] {
        match shipped().classifier(&PluginRequest::new(name)) {
            Err(ClassifierSourceError::Unknown { known, .. }) => {
                assert!(known.contains(&"linear".to_owned()));
            }
            _ => panic!("{name} should be unknown"),
        }
    }
}

#[test]
fn a_wrong_parameter_is_named() {
    use crate::support::{texts_of, with_context};
    let plugin = try_load(&shipped(), "majority").unwrap();
    let params = serde_json::json!({"smoothin": 2});
    let texts = texts_of(&["a".to_owned()]);
    let message = error_of(with_context(1, |context| plugin.prepare(&texts, &params, context)));
    assert!(message.starts_with("plugin `majority` failed in prepare: "), "{message}");
    assert!(message.contains("unknown field `smoothin`"), "{message}");
}
