//! Bad input gets a clear error, an exit code of its own, and loses nothing.

use insta::assert_snapshot;

use crate::support::{Outcome, Sandbox, records, to_csv};

/// Runs the audit on this file.
fn run_on(contents: impl AsRef<[u8]>) -> (Sandbox, Outcome) {
    let sandbox = Sandbox::audit();
    sandbox.write("records.csv", contents);
    let outcome = sandbox.relabel(&["run", "--jobs", "1"]);
    (sandbox, outcome)
}

/// The same after a change of the pipeline file.
#[track_caller]
fn check_with(from: &str, to: &str) -> Outcome {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", from, to);
    sandbox.relabel(&["check"]).code(2)
}

#[test]
fn a_missing_file() {
    let outcome = check_with("path: records.csv", "path: recods.csv");
    assert_snapshot!(outcome.err(), @r"
    error: node `records`: cannot read `recods.csv`: No such file or directory (os error 2)
      --> relabel.yaml:6:33
      |
    6 |   records: {kind: source, path: recods.csv}
      |                                 ^^^^^^^^^^
    hint: paths start from `[SANDBOX]`

    error: 1 problem in relabel.yaml; nothing was run
    ");
}

#[test]
fn a_folder_for_a_file() {
    let outcome = check_with("path: records.csv", "path: .");
    outcome.says(&["`.` is a folder", "relabel.yaml:6:33"]);
}

#[test]
fn a_missing_column() {
    let sandbox = Sandbox::audit();
    sandbox.edit("records.csv", "record_id,text,label", "record_id,text,labels");
    let outcome = sandbox.relabel(&["run"]).code(2);
    assert_snapshot!(outcome.err(), @r"
    error: node `records`: the file has no column `label` for `label`
      --> relabel.yaml:6:3
      |
    6 |   records: {kind: source, path: records.csv}
      |   ^^^^^^^
    hint: did you mean `labels`? write `columns: {label: labels}`

    error: 1 problem in relabel.yaml; nothing was run
    ");
}

#[test]
fn an_empty_file() {
    let (_, outcome) = run_on("");
    outcome.code(2).says(&["records.csv` is empty", "a header and at least one record"]);
}

#[test]
fn a_header_alone() {
    let (_, outcome) = run_on("record_id,text,label\n");
    outcome.code(1).says(&["`records.csv` holds no record", "a header alone"]);
}

#[test]
fn headers_that_name_nothing_or_twice() {
    let (_, outcome) = run_on("record_id,,label\na,b,c\n");
    outcome.code(2).says(&["records.csv:1: column 2 has no name"]);
    let (_, outcome) = run_on("record_id,text,text\na,b,c\n");
    outcome.code(2).says(&["records.csv:1: two columns are named `text`"]);
}

/// 60 records with these lines put in at line 11.
fn with_lines(lines: &[u8]) -> Vec<u8> {
    let text = to_csv(&records(60, 3));
    let at = text.match_indices('\n').nth(9).unwrap().0 + 1;
    [&text.as_bytes()[..at], lines, &text.as_bytes()[at..]].concat()
}

#[test]
fn a_malformed_row_with_its_line() {
    let (_, outcome) = run_on(with_lines(b"x1,too few\nx2,too,many,fields\n"));
    let outcome = outcome.code(1);
    assert_snapshot!(outcome.err(), @r"
    run      decided          first run  0 rows  [T] s
             0  decisions in effect
    failed   records
    error: records: 2 rows cannot be read:
      records.csv:11: 2 fields where the header has 3
      records.csv:12: 4 fields where the header has 3
    hint: mend them, or set `on_bad_row: quarantine` to go on without them
    skipped  valid            needs `records`
    skipped  current          needs `records`
    skipped  folds            needs `records`
    skipped  oof              needs `records`
    skipped  suspicious       needs `records`
    skipped  queue            needs `records`
    skipped  oof[4]           needs `records`
    skipped  oof[3]           needs `records`
    skipped  oof[2]           needs `records`
    skipped  oof[1]           needs `records`
    skipped  oof[0]           needs `records`
    skipped  cleaned          needs `records`
    ");
}

#[test]
fn a_quote_that_is_not_closed() {
    let (_, outcome) = run_on(with_lines(b"x1,\"never closed,account\n"));
    outcome.code(1).says(&["records.csv:11: ", "a quote may not be closed"]);
}

#[test]
fn invalid_utf8_with_its_line() {
    let (_, outcome) = run_on(with_lines(b"x1,caf\xe9 au lait,account\n"));
    outcome.code(1).says(&["records.csv:11: field 2 is not UTF-8"]);
}

#[test]
fn bad_rows_in_quarantine() {
    let sandbox = Sandbox::audit();
    let bad = b"x1,too few\nx2,caf\xe9,account\nx3,\"two\nlines\",account\nx4,a,b,c\n";
    sandbox.write("records.csv", with_lines(bad));
    sandbox.edit("relabel.yaml", "path: records.csv", "path: records.csv, on_bad_row: quarantine");
    let events = sandbox.run(&[]);
    assert_eq!(events.unit("records")["rows"], 61);
    assert_eq!(events.warnings("records"), ["3 rows could not be read and are quarantined"]);
    let csv = sandbox.relabel(&["show", "records.rejected", "--as", "csv"]).ok();
    assert_snapshot!(csv.out(), @r#"
    file,line,reason,raw
    records.csv,11,2 fields where the header has 3,"x1,too few"
    records.csv,12,field 2 is not UTF-8,"x2,caf�,account"
    records.csv,15,4 fields where the header has 3,"x4,a,b,c"
    "#);
}

#[test]
fn duplicate_and_empty_ids_are_listed() {
    let (_, outcome) = run_on(with_lines(b"r0001,again,account\nr0002,again,billing\n"));
    let outcome = outcome.code(1);
    assert_snapshot!(outcome.err(), @r"
    run      decided          first run  0 rows  [T] s
             0  decisions in effect
    failed   records
    error: records: 2 record ids in column `record_id` are used twice: `r0001` (records 1 and 10), `r0002` (records 2 and 11)
    hint: give each record its own id; corrections are kept by id
    skipped  valid            needs `records`
    skipped  current          needs `records`
    skipped  folds            needs `records`
    skipped  oof              needs `records`
    skipped  suspicious       needs `records`
    skipped  queue            needs `records`
    skipped  oof[4]           needs `records`
    skipped  oof[3]           needs `records`
    skipped  oof[2]           needs `records`
    skipped  oof[1]           needs `records`
    skipped  oof[0]           needs `records`
    skipped  cleaned          needs `records`
    ");
    let (_, outcome) = run_on(with_lines(b",no id,account\n  ,blank id,billing\n"));
    outcome.code(1).says(&["2 records have no id in column `record_id`: records 10, 11"]);
}

#[test]
fn a_class_with_fewer_records_than_folds_warns_and_runs() {
    let sandbox = Sandbox::audit();
    let rare = b"x1,lost umbrella somewhere,technical\n";
    let mut rows = records(120, 5);
    rows.retain(|record| record.label != "technical");
    let csv = [to_csv(&rows).as_bytes(), rare].concat();
    sandbox.write("records.csv", csv);
    let events = sandbox.run(&[]);
    let warnings = events.warnings("folds");
    assert_eq!(warnings, ["1 class has fewer records than folds: `technical` (1)"]);
    assert_eq!(sandbox.frame("oof", &[]).len(), rows.len() + 1);
}

#[test]
fn fewer_records_than_folds() {
    let (_, outcome) = run_on("record_id,text,label\na,one text,account\nb,two text,billing\n");
    outcome.code(1).says(&["2 records cannot be split into 5 folds", "lower `k`"]);
}

#[test]
fn one_class_only() {
    let mut rows = records(60, 3);
    rows.iter_mut().for_each(|record| record.label = "billing".into());
    let (sandbox, outcome) = run_on(to_csv(&rows));
    outcome.code(1).says(&["all usable records have one label, `billing`; two or more are needed"]);
    sandbox.edit("taxonomy.yaml", "account, billing, ", "");
    let outcome = sandbox.relabel(&["run"]).code(1);
    outcome.says(&["no record has a usable text and an approved label"]);
}

#[test]
fn labels_outside_the_taxonomy_are_warned_of_and_listed() {
    let sandbox = Sandbox::audit();
    sandbox.write(
        "records.csv",
        with_lines(b"x1,where is my parcel,Delivery\nx2,what is this,misc\nx3,?,account\nx4,no label at all,\n"),
    );
    let events = sandbox.run(&[]);
    let warnings = events.warnings("valid");
    assert_eq!(
        warnings,
        [
            "1 records have no label",
            "2 records have a label outside the taxonomy: `Delivery` (1), `misc` (1)",
        ]
    );
    let csv = sandbox.relabel(&["show", "valid.rejected", "--as", "csv"]).ok();
    assert_snapshot!(csv.out(), @r"
    record_id,text,label,text_valid,text_problem,label_in_taxonomy,reason
    x1,where is my parcel,Delivery,true,,false,label `Delivery` is not in the taxonomy
    x2,what is this,misc,true,,false,label `misc` is not in the taxonomy
    x3,?,account,false,too short: 1 characters,true,text: too short: 1 characters
    x4,no label at all,,true,,false,no label
    ");
    let rows = sandbox.frame("cleaned", &[]);
    assert_eq!(rows[0]["rows"], 64, "nothing is dropped: {rows:?}");
}

#[test]
fn texts_of_every_kind_run() {
    let sandbox = Sandbox::audit();
    let long = "word ".repeat(30_000);
    let odd = format!(
        "x1,,account\nx2,\u{1F600}\u{202e}\u{0},billing\nx3,{long},account\nx4,カード 紛失,billing\n\
         \"x,5\",\"quoted, with \"\"quotes\"\"\nand a second line\",delivery\n"
    );
    sandbox.write("records.csv", with_lines(odd.as_bytes()));
    let events = sandbox.run(&[]);
    assert_eq!(events.unit("oof")["rows"], 65);
    let rejected = sandbox.frame("valid.rejected", &[]);
    let reasons: Vec<&str> = rejected.iter().map(|row| row["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        ["text: empty", "text: no letter or digit", "text: too long: 149999 characters"]
    );
}

#[test]
fn a_pipeline_that_is_not_there_or_not_yaml() {
    let sandbox = Sandbox::empty();
    let outcome = sandbox.relabel(&["run"]).code(2);
    outcome.says(&["neither relabel.yaml nor pipelines/*.yaml is here", "relabel demo"]);
    sandbox
        .relabel(&["run", "nowhere.yaml"])
        .code(2)
        .says(&["cannot read pipeline `nowhere.yaml`"]);
    sandbox.write("relabel.yaml", "nodes: {a: [}\n");
    sandbox.relabel(&["check"]).code(2).says(&["not valid YAML", "relabel.yaml:1:"]);
    sandbox.write("relabel.yaml", b"\xff\xfe");
    sandbox.relabel(&["check"]).code(2).says(&["pipeline `relabel.yaml` is not UTF-8"]);
}

#[test]
fn usage_errors_are_2() {
    let sandbox = Sandbox::audit();
    sandbox.relabel(&["rnu"]).code(2).says(&["run"]);
    sandbox.relabel(&["run", "--jobs", "0"]).code(2);
    sandbox.relabel(&[]).code(2);
    sandbox.relabel(&["--version"]).ok();
}

#[test]
fn no_pipeline_is_told_with_one_that_is_there() {
    let sandbox = Sandbox::audit();
    std::fs::rename(sandbox.path("relabel.yaml"), sandbox.path("mine.yaml")).unwrap();
    // A taxonomy lies beside it, which is no pipeline.
    sandbox.relabel(&["plan"]).code(2).says(&["no pipeline", "such as `mine.yaml`"]);
    Sandbox::empty().relabel(&["plan"]).code(2).says(&["no pipeline", "try `relabel demo`"]);
}

#[test]
fn unknown_names_in_a_pipeline() {
    let outcome = check_with("kind: kfold", "kind: kfolds");
    assert_snapshot!(outcome.err(), @r"
    error: unknown kind `kfolds`
      --> relabel.yaml:10:17
       |
    10 |   folds: {kind: kfolds, input: current, k: '${params.folds}', seed: 42}
       |                 ^^^^^^
    hint: did you mean `kfold`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let outcome = check_with("seed: 42", "sede: 42");
    assert_snapshot!(outcome.err(), @r"
    error: node `folds`: unknown key `sede`
      --> relabel.yaml:10:62
       |
    10 |   folds: {kind: kfold, input: current, k: '${params.folds}', sede: 42}
       |                                                              ^^^^
    hint: did you mean `seed`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let outcome = check_with("input: oof", "input: off");
    assert_snapshot!(outcome.err(), @r"
    error: `input` reads `off`, which is no node of this pipeline
      --> relabel.yaml:14:12
       |
    14 |     input: off
       |            ^^^
    hint: did you mean `oof`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let outcome = check_with("predicted_label !=", "predictd_label !=");
    assert_snapshot!(outcome.err(), @r"
    error: node `suspicious`: no column `predictd_label` here
      --> relabel.yaml:16:7
       |
    16 |       prediction_confidence > ${params.confidence} and predictd_label != given_label
       |       ^
    hint: did you mean `predicted_label`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
}

#[test]
fn unknown_plugins_parameters_and_ports() {
    let outcome = check_with("{plugin: linear}", "{plugin: linaer}");
    assert_snapshot!(outcome.err(), @r"
    error: node `oof`: no plugin `linaer`
      --> relabel.yaml:11:59
       |
    11 |   oof: {kind: predict, input: folds, classifier: {plugin: linaer}}
       |                                                           ^^^^^^
    hint: did you mean `linear`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let outcome = check_with("{plugin: linear}", "{plugin: linear, params: {word_ngram: 2}}");
    assert_snapshot!(outcome.err(), @r"
    error: node `oof`: unknown key `word_ngram`
      --> relabel.yaml:11:76
       |
    11 |   oof: {kind: predict, input: folds, classifier: {plugin: linear, params: {word_ngram: 2}}}
       |                                                                            ^^^^^^^^^^
    hint: did you mean `word_ngrams`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let outcome = check_with("input: valid, corr", "input: valid.rejectd, corr");
    assert_snapshot!(outcome.err(), @r"
    error: `valid` has no port `rejectd`
      --> relabel.yaml:9:33
      |
    9 |   current: {kind: clean, input: valid.rejectd, corrections: decided}
      |                                 ^^^^^^^^^^^^^
    hint: did you mean `rejected`?

    error: 1 problem in relabel.yaml; nothing was run
    ");
    let outcome = check_with("${params.confidence}", "${params.confidense}");
    outcome.says(&["names no parameter of this pipeline", "did you mean `confidence`?"]);
}

#[test]
fn values_that_cannot_be() {
    check_with("folds: 5", "folds: 1").says(&["node `folds`", "relabel.yaml:"]);
    check_with("folds: 5", "folds: five").says(&["node `folds`"]);
    check_with("path: out/cleaned.csv", "path: out/cleaned").says(&["does not say its format"]);
    check_with("prediction_confidence > ", "prediction_confidence >> ")
        .says(&["not a SQL expression"]);
    check_with("taxonomy.yaml", "taxonomie.yaml").says(&["taxonomy `taxonomie.yaml`"]);
}

#[test]
fn a_cycle_is_printed() {
    let outcome = check_with("kind: validate, input: records", "kind: validate, input: current");
    assert_snapshot!(outcome.err(), @r"
    error: the nodes form a cycle: `current` -> `valid` -> `current`
      --> relabel.yaml:9:3
      |
    9 |   current: {kind: clean, input: valid, corrections: decided}
      |   ^^^^^^^
    hint: decisions come back through a `corrections` node, not through the graph

    error: 1 problem in relabel.yaml; nothing was run
    ");
}

#[test]
fn several_at_once_and_nothing_ran() {
    let sandbox = Sandbox::audit();
    sandbox.edit("relabel.yaml", "kind: kfold", "kind: kfolds");
    sandbox.edit("relabel.yaml", "path: records.csv", "pathe: records.csv");
    sandbox.edit("relabel.yaml", "input: valid, corr", "input: vaild, corr");
    let outcome = sandbox.relabel(&["run"]).code(2);
    outcome.says(&["unknown kind `kfolds`", "`pathe`", "`vaild`", "problems in relabel.yaml"]);
    assert!(!sandbox.path(".relabel").exists());

    let outcome = sandbox.relabel(&["run", "--format", "json"]).code(2);
    let error = outcome.json();
    assert_eq!((&error["event"], &error["exit_code"]), (&"error".into(), &2.into()));
    let problems = error["problems"].as_array().unwrap();
    assert!(problems.len() >= 3, "{problems:?}");
    let lines: Vec<u64> = problems.iter().map(|p| p["line"].as_u64().unwrap()).collect();
    assert!(lines.is_sorted() && problems.iter().all(|p| p["column"].is_u64()), "{problems:?}");
}
