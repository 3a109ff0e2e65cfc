//! What the tests share: data, calls with a quiet context, and a C compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use engine::classifier::{
    CallContext, Cancel, Classifier, ClassifierError, Corpus, FitRequest, PluginRequest, Texts,
};
use plugin_host::{PluginSource, library_file_name};
use serde_json::{Value, json};

pub const CLASSES: u32 = 3;

/// Folder of this test program; cargo puts the libraries of dev-dependencies beside it.
pub fn built_plugins() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_path_buf()
}

pub fn shipped() -> PluginSource {
    PluginSource::new(vec![built_plugins()])
}

/// Made-up records of three classes, some with the wrong label, some without a word.
pub fn records(count: usize) -> (Vec<String>, Vec<u32>) {
    let words =
        [["invoice", "refund", "paid"], ["router", "cable", "signal"], ["visa", "form", "id"]];
    let mut state = 7_u64;
    let mut next = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut texts = Vec::new();
    let mut labels = Vec::new();
    for row in 0..count {
        let class = row % 3;
        let length = next(7);
        let text: Vec<String> = (0..length)
            .map(|_| {
                if next(3) > 0 {
                    words[class][next(3)].to_owned()
                } else {
                    format!("w{}", next(90))
                }
            })
            .collect();
        texts.push(text.join(" "));
        labels.push(if next(10) == 0 { next(3) as u32 } else { class as u32 });
    }
    (texts, labels)
}

pub fn texts_of(texts: &[String]) -> Texts {
    Texts::from_strs(texts.iter().map(|text| Some(text.as_str())))
}

pub fn prepare(plugin: &dyn Classifier, texts: &[String], params: &Value) -> Box<dyn Corpus> {
    with_context(1, |context| plugin.prepare(&texts_of(texts), params, context)).unwrap()
}

pub fn with_context<R>(threads: usize, call: impl FnOnce(CallContext<'_>) -> R) -> R {
    let cancel = Cancel::default();
    call(CallContext { progress: &|_| {}, cancel: &cancel, threads })
}

/// Prepares, fits on every row but each fifth, saves, and predicts the rest.
pub fn one_fold(
    plugin: &dyn Classifier,
    texts: &[String],
    labels: &[u32],
    threads: usize,
) -> Result<(Vec<u8>, Vec<f32>), ClassifierError> {
    let (held_out, rows): (Vec<u32>, Vec<u32>) =
        (0..texts.len() as u32).partition(|row| row % 5 == 0);
    let labels: Vec<u32> = rows.iter().map(|&row| labels[row as usize]).collect();
    let request =
        FitRequest { rows: &rows, labels: &labels, weights: None, class_count: CLASSES, seed: 3 };
    with_context(threads, |context| {
        let corpus = plugin.prepare(&texts_of(texts), &json!({}), context)?;
        let model = corpus.fit(request, context)?;
        let scores = corpus.predict(&*model, &held_out, context)?;
        let bytes = model.save()?;
        let loaded = plugin.load(&bytes)?;
        assert_eq!(loaded.class_count(), CLASSES);
        assert_eq!(corpus.predict(&*loaded, &held_out, context)?, scores, "a loaded model differs");
        Ok((bytes, scores))
    })
}

/// Compiles a C file of this repository into a plugin library, with warnings as errors.
pub fn compile(source: &str, define: Option<&str>, folder: &Path, name: &str) -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = folder.join(library_file_name(name));
    let output = Command::new("cc")
        .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"])
        .args(define.map(|define| format!("-D{define}")))
        .arg("-I")
        .arg(host.join("../../plugins/plugin-abi"))
        .arg(host.join(source))
        .arg("-o")
        .arg(&library)
        .output()
        .expect("a C compiler named `cc` is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

pub fn error_of<T>(result: Result<T, impl std::fmt::Display>) -> String {
    match result {
        Ok(_) => panic!("this should have failed"),
        Err(error) => error.to_string(),
    }
}

/// An `Arc<dyn Classifier>` or the reason why there is none.
pub fn try_load(source: &PluginSource, name: &str) -> Result<Arc<dyn Classifier>, String> {
    use engine::classifier::ClassifierSource;
    source.classifier(&PluginRequest::new(name)).map_err(|error| error.to_string())
}
