//! `predict` with probabilities that a user brings, and calibration of any.

use serde_json::Value;

use crate::support::data::CATEGORIES;
use crate::support::{Outcome, Sandbox, records, repository, to_csv};

/// No folds anywhere: the probabilities come from outside.
const PIPELINE: &str = "\
version: 1
name: brought
taxonomy: taxonomy.yaml
nodes:
  records: {kind: source, path: records.csv}
  valid: {kind: validate, input: records}
  oof: {kind: predict, input: valid, probabilities: p.csv}
  issues: {kind: issues, input: oof}
  suspicious: {kind: filter, input: issues, where: 'predicted_label != given_label'}
  queue: {kind: review-queue, input: suspicious, store: 'sqlite:relabel.db'}
";

/// A probability of each category for each record: sure of the true one.
fn rows(count: usize) -> Vec<(String, [f64; 4])> {
    let sure = |(n, record): (usize, crate::support::Record)| {
        let top = 0.7 + 0.02 * (n % 10) as f64;
        let p = CATEGORIES.map(|name| if name == record.truth { top } else { (1.0 - top) / 3.0 });
        (record.id, p)
    };
    records(count, 7).into_iter().enumerate().map(sure).collect()
}

fn table(rows: &[(String, [f64; 4])]) -> String {
    let line = |(id, p): &(String, [f64; 4])| {
        let numbers: Vec<String> = p.iter().map(|p| format!("{p:.6}")).collect();
        format!("{id},{}\n", numbers.join(","))
    };
    let lines: String = rows.iter().map(line).collect();
    format!("record_id,{}\n{lines}", CATEGORIES.join(","))
}

fn npy(rows: &[(String, [f64; 4])]) -> Vec<u8> {
    let numbers: Vec<f64> = rows.iter().flat_map(|(_, p)| *p).collect();
    matrix(&numbers, 4)
}

/// An NPY file of double precision.
fn matrix(numbers: &[f64], columns: usize) -> Vec<u8> {
    let rows = numbers.len() / columns;
    let header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers.iter().flat_map(|p| p.to_le_bytes()));
    bytes
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("taxonomy.yaml", crate::support::data::TAXONOMY);
    sandbox.write("relabel.yaml", PIPELINE);
    sandbox.write("records.csv", to_csv(&records(300, 7)));
    let mut rows = rows(300);
    // The order of a table is its own affair.
    rows.reverse();
    sandbox.write("p.csv", table(&rows));
    sandbox
}

/// Runs with a file that is wrong somewhere.
#[track_caller]
fn run_with(rows: &[(String, [f64; 4])]) -> Outcome {
    let sandbox = sandbox();
    sandbox.write("p.csv", table(rows));
    sandbox.relabel(&["run"]).code(1)
}

#[test]
fn they_go_the_way_of_a_plugins() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let wrong: Vec<_> = records(300, 7).into_iter().filter(|r| r.label != r.truth).collect();
    let flagged = sandbox.frame("suspicious", &[]);
    assert_eq!(flagged.len(), wrong.len());
    for row in &flagged {
        let record = wrong.iter().find(|record| record.id == row["record_id"]).unwrap();
        assert_eq!(row["predicted_label"], record.truth.as_str());
        assert_eq!(row["given_label"], record.label.as_str());
    }
    assert!(flagged[0]["model_version"].as_str().unwrap().starts_with("probabilities "));
    assert_eq!(sandbox.frame("queue", &[]).len(), wrong.len());
    let again = sandbox.run(&[]);
    assert_eq!(again.units("run"), [""; 0]);
}

#[test]
fn the_file_counts_by_its_content() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    sandbox.write("q.csv", sandbox.read("p.csv"));
    sandbox.edit("relabel.yaml", "p.csv", "q.csv");
    assert_eq!(sandbox.run(&[]).units("run"), [""; 0]);
    let mut rows = rows(300);
    rows[0].1 = [0.25; 4];
    sandbox.write("q.csv", table(&rows));
    let events = sandbox.run(&[]);
    assert!(events.units("run").contains(&"oof".to_owned()));
    assert_eq!(events.reason("oof"), "file-changed");
}

#[test]
fn a_matrix_is_in_the_order_of_the_records() {
    let sandbox = sandbox();
    sandbox.run(&[]);
    let from_table = sandbox.frame("oof.probabilities", &[]);
    sandbox.write("p.npy", npy(&rows(300)));
    sandbox.write("names.json", "[\"account\", \"billing\", \"delivery\", \"technical\"]");
    sandbox.edit(
        "relabel.yaml",
        "probabilities: p.csv",
        "probabilities: p.npy, categories: names.json",
    );
    sandbox.run(&[]);
    let from_matrix = sandbox.frame("oof.probabilities", &[]);
    assert_eq!(from_matrix.len(), 300);
    for (one, other) in from_table.iter().zip(&from_matrix) {
        assert_eq!(one["record_id"], other["record_id"]);
        for name in CATEGORIES {
            let (a, b) = (one[name].as_f64().unwrap(), other[name].as_f64().unwrap());
            assert!((a - b).abs() < 2e-6, "{a} {b}");
        }
    }
    sandbox.edit("relabel.yaml", "categories: names.json", "categories: [account, billing]");
    sandbox.relabel(&["check"]).code(2).says(&["4 columns for 2 categories", "relabel.yaml:7:"]);
    sandbox.edit("relabel.yaml", ", categories: [account, billing]", "");
    let hint = "add `categories: [...]`";
    sandbox.relabel(&["check"]).code(2).says(&["which column is which category", hint]);
    let all = "p.npy, categories: [account, billing, delivery, technical]";
    sandbox.edit("relabel.yaml", "p.npy", all);
    sandbox.write("p.npy", npy(&rows(299)));
    sandbox.relabel(&["run"]).code(1).says(&["299 rows for 300 records"]);
}

#[test]
fn records_are_matched_by_their_ids() {
    let mut wrong = rows(300);
    wrong[3].0 = "r9999".into();
    wrong[5].0 = wrong[4].0.clone();
    run_with(&wrong).says(&[
        "2 have no row: `r0004`, `r0006`",
        "1 are no records here: `r9999`",
        "1 are there twice: `r0005`",
    ]);
    wrong[3].0 = String::new();
    run_with(&wrong).says(&["row 4 of `p.csv` has no record_id"]);
}

#[test]
fn numbers_that_are_no_probabilities_are_refused() {
    let with = |p: [f64; 4]| {
        let mut wrong = rows(300);
        wrong[7].1 = p;
        wrong
    };
    let nan = run_with(&with([f64::NAN, 0.5, 0.25, 0.25]));
    nan.says(&["record `r0008` (row 8 of `p.csv`): the probability of `account` is NaN"]);
    let negative = run_with(&with([1.25, -0.25, 0.0, 0.0]));
    negative.says(&["record `r0008` (row 8 of `p.csv`)", "`billing` is -0.25"]);
    let sum = run_with(&with([0.5, 0.25, 0.25, 0.01]));
    sum.says(&["record `r0008`", "sum to 1.01, not to 1"]);
    let sandbox = sandbox();
    sandbox.edit("p.csv", "r0300,", "r0300,x");
    sandbox.relabel(&["run"]).code(1).says(&["record `r0300` of `p.csv`: `account` is no number"]);
}

#[test]
fn a_column_that_is_no_category_can_be_left_out_and_the_error_says_how() {
    let sandbox = sandbox();
    let pipeline = PIPELINE.replace("taxonomy: taxonomy.yaml\n", "");
    sandbox.write("relabel.yaml", &pipeline);
    let plain = table(&rows(300));
    let with = |name: &str, cell: &str| {
        let lines = plain.lines().skip(1).map(|line| format!("{line},{cell}\n"));
        let header = plain.lines().next().unwrap();
        sandbox.write("p.csv", format!("{header},{name}\n{}", lines.collect::<String>()));
    };
    let hint = "`categories: [...]` leaves columns out that are none";
    for (name, cell, told) in [
        ("comment", "sure", "`comment` is no number, but `sure`"),
        ("comment", "", "`comment` is no number"),
        ("score", "0.5", "the probabilities sum to 1.5, not to 1"),
        ("score", "-3", "the probability of `score` is -3"),
    ] {
        sandbox.write("relabel.yaml", &pipeline);
        with(name, cell);
        sandbox.relabel(&["run"]).code(1).says(&[told, hint]);
        let named = "p.csv, categories: [account, billing, delivery, technical]";
        sandbox.edit("relabel.yaml", "p.csv", named);
        sandbox.run(&["--select", "+issues"]);
    }
}

/// Golden answers of cleanlab 2.9.0, those of the crate `label-issues`, through a whole pipeline.
#[test]
fn double_precision_is_kept_up_to_the_scores() {
    let golden = repository().join("runner/label-issues/tests/fixtures/cleanlab.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let case = &cases[0];
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let rows: Vec<Vec<f64>> = case["pred_probs"].as_array().unwrap().iter().map(numbers).collect();
    let names: Vec<String> = (0..rows[0].len()).map(|class| format!("c{class}")).collect();
    let sandbox = Sandbox::empty();
    let (mut records, mut table) =
        ("record_id,text,label\n".to_owned(), format!("record_id,{}\n", names.join(",")));
    for (n, (row, label)) in rows.iter().zip(case["labels"].as_array().unwrap()).enumerate() {
        records.push_str(&format!("r{n:03},text {n},c{label}\n"));
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        table.push_str(&format!("r{n:03},{}\n", cells.join(",")));
    }
    sandbox.write("records.csv", records);
    sandbox.write("p.csv", table);
    sandbox.write("p.npy", matrix(&rows.concat(), names.len()));
    let flags = case["flags"].as_array().unwrap();
    let plain = flags.iter().filter(|f| f["frac_noise"] == 1.0 && f["min_examples_per_class"] == 1);
    let scores = ["self_confidence", "normalized_margin", "confidence_weighted_entropy"];
    let mut compared = 0;
    for (n, flags) in plain.enumerate() {
        let (score, file) = (scores[n % 3], ["p.csv", "p.npy"][n % 2]);
        let filter = flags["filter_by"].as_str().unwrap();
        sandbox.write(
            "relabel.yaml",
            format!(
                "version: 1\nname: golden\nnodes:\n  records: {{kind: source, path: records.csv}}\n  \
                 oof: {{kind: predict, input: records, probabilities: {file}, \
                 categories: [{}]}}\n  issues: {{kind: issues, input: oof, filter_by: {filter}, \
                 score: {score}}}\n",
                names.join(", ")
            ),
        );
        sandbox.run(&[]);
        let found = sandbox.frame("issues", &[]);
        let flagged = (0..found.len()).filter(|row| found[*row]["is_label_issue"] == true);
        let wanted: Vec<u64> =
            flags["rows"].as_array().unwrap().iter().map(|row| row.as_u64().unwrap()).collect();
        assert_eq!(flagged.map(|row| row as u64).collect::<Vec<u64>>(), wanted, "{filter}");
        for (row, wanted) in found.iter().zip(numbers(&case["scores"][score])) {
            let quality = row["label_quality"].as_f64().unwrap();
            assert!((quality - wanted).abs() < 1e-9, "{score}: {quality} for {wanted}");
            compared += 1;
        }
    }
    assert_eq!(compared, 7 * rows.len());
}

#[test]
fn small_errors_of_rounding_are_mended_and_said() {
    let mut rounded = rows(300);
    rounded[7].1 = [0.3333, 0.3333, 0.3333, 0.0];
    let sandbox = sandbox();
    sandbox.write("p.csv", table(&rounded));
    let events = sandbox.run(&[]);
    assert_eq!(events.warnings("oof"), ["1 rows of probabilities did not quite sum to 1"]);
    let row = &sandbox.frame("oof.probabilities", &[])[7];
    let sum: f64 = CATEGORIES.iter().map(|name| row[*name].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{row}");
}

#[test]
fn categories_are_checked_before_anything_runs() {
    let sandbox = sandbox();
    sandbox.edit("p.csv", "technical", "tecnical");
    let said = ["`tecnical` is no category of the taxonomy", "did you mean `technical`?"];
    sandbox.relabel(&["check"]).code(2).says(&said);
    sandbox.edit("p.csv", ",tecnical", ",technical");
    sandbox.edit("relabel.yaml", "p.csv", "p.csv, categories: [account, billing, delivery]");
    let said = ["record `r0004` has label `technical`, which `p.csv` lacks"];
    sandbox.relabel(&["run"]).code(1).says(&said);
    sandbox.edit("relabel.yaml", "delivery]", "deliver]");
    sandbox.relabel(&["check"]).code(2).says(&["`p.csv` has no column `deliver`", ":7:"]);
    sandbox.edit("p.csv", "record_id", "id");
    sandbox.relabel(&["check"]).code(2).says(&["`p.csv` has no column `record_id`"]);
}

#[test]
fn they_take_the_place_of_a_classifier() {
    let sandbox = sandbox();
    let check = |from: &str, to: &str| {
        sandbox.write("relabel.yaml", PIPELINE.replace(from, to));
        sandbox.relabel(&["check"]).code(2)
    };
    let both = check("p.csv", "p.csv, classifier: {plugin: majority}");
    both.says(&["`probabilities` takes the place of `classifier`", "relabel.yaml:7:"]);
    check(", probabilities: p.csv", "").says(&["`classifier` is missing", "`probabilities`"]);
    let no_folds = check("probabilities: p.csv", "classifier: {plugin: majority}");
    no_folds.says(&["the number of folds is not known here", "put a `kfold` node"]);
    let alone = check("probabilities: p.csv", "classifier: {plugin: majority}, categories: [a, b]");
    alone.says(&["`categories` goes with `probabilities`"]);
    check("p.csv", "q.csv").says(&["cannot read `q.csv`"]);
    check("p.csv", "taxonomy.yaml").says(&["does not say its format", ".parquet, .csv or .npy"]);
}

#[test]
fn what_one_pipeline_exports_another_takes() {
    let sandbox = Sandbox::audit();
    let export =
        "  scores: {kind: export, input: oof.probabilities, path: out/p.parquet}\n  queue:";
    sandbox.edit("relabel.yaml", "  queue:", export);
    sandbox.run(&["--select", "+scores"]);
    let before = sandbox.frame("oof", &[]);
    sandbox.write("other.yaml", PIPELINE.replace("p.csv", "out/p.parquet"));
    sandbox.run(&["other.yaml"]);
    let after = sandbox.frame("oof", &["-p", "other.yaml"]);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        for column in ["record_id", "predicted_label", "prediction_confidence", "given_confidence"]
        {
            assert_eq!(before[column], after[column]);
        }
    }
}

fn metric(event: &Value, name: &str) -> f64 {
    let notes = event["notes"].as_array().unwrap();
    let note = notes.iter().find(|note| note["name"] == name);
    note.unwrap_or_else(|| panic!("no {name} in {notes:?}"))["value"].as_f64().unwrap()
}

#[test]
fn calibration_fits_no_model_anew_and_keeps_what_is_predicted() {
    let sandbox = Sandbox::audit();
    let sharp = "classifier: {plugin: linear, params: {calibrate: none, c: 30}}";
    sandbox.edit("relabel.yaml", "classifier: {plugin: linear}", sharp);
    sandbox.run(&["--select", "+oof"]);
    let raw = sandbox.frame("oof", &[]);
    for how in ["temperature", "isotonic"] {
        let with = format!("calibrate: {how}, classifier");
        sandbox.write("relabel.yaml", sandbox.read("relabel.yaml").replace("classifier", &with));
        let events = sandbox.run(&["--select", "+oof"]);
        assert_eq!(events.units("run"), ["oof"], "{how}: calibration alone is new");
        let oof = events.unit("oof");
        let before = metric(oof, "log-loss before calibration");
        let after = metric(oof, "log-loss against given labels");
        assert!(after < before, "{how}: {before} -> {after}");
        let calibrated = sandbox.frame("oof", &[]);
        let differ = |(a, b): &(&Value, &Value)| a["predicted_label"] != b["predicted_label"];
        let changed = raw.iter().zip(&calibrated).filter(differ).count();
        assert!(changed == 0 || how == "isotonic" && changed < 15, "{how}: {changed}");
        sandbox.write("relabel.yaml", sandbox.read("relabel.yaml").replace(&with, "classifier"));
    }
    let bins = sandbox.frame("oof.reliability", &[]);
    assert_eq!(bins.len(), 15);
    let counted: u64 = bins.iter().map(|bin| bin["records"].as_u64().unwrap()).sum();
    assert_eq!(counted, 300);
    sandbox.edit("relabel.yaml", "classifier:", "calibrate: platt, classifier:");
    sandbox.relabel(&["check"]).code(2).says(&["not a choice", "temperature"]);
}

#[test]
fn a_certain_label_has_the_best_entropy_score_unless_it_is_to_be_as_cleanlabs() {
    let sandbox = sandbox();
    let mut rows = rows(300);
    let certain = CATEGORIES.map(|name| f64::from(u8::from(name == records(300, 7)[0].label)));
    rows[0].1 = certain;
    sandbox.write("p.csv", table(&rows));
    let mut scores = Vec::new();
    for entropy in ["", ", entropy: compatible"] {
        let node = format!("input: oof, score: confidence_weighted_entropy{entropy}}}");
        sandbox.write("relabel.yaml", PIPELINE.replace("input: oof}", &node));
        sandbox.run(&[]);
        let quality = |row: &Value| row["label_quality"].as_f64().unwrap();
        scores.push(sandbox.frame("issues", &[]).iter().map(quality).collect::<Vec<f64>>());
    }
    assert_eq!((scores[0][0], scores[1][0]), (1.0, 0.0));
    let others = scores[0][1..].iter().zip(&scores[1][1..]);
    others.for_each(|(fixed, compatible)| assert!((fixed - compatible).abs() < 1e-12));
    let node = "input: oof, score: normalized_margin, entropy: compatible}";
    sandbox.write("relabel.yaml", PIPELINE.replace("input: oof}", node));
    let told = "`entropy` does not go with this score";
    sandbox.relabel(&["check"]).code(2).says(&[told, "confidence_weighted_entropy"]);
}
