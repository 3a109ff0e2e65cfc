//! `relabel run --watch`: a change of the pipeline, its taxonomy or sources runs it again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::crash::interrupt;
use crate::support::data::{CATEGORIES, TAXONOMY};
use crate::support::{Record, Sandbox, plugins, records};

struct Watch<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

impl<'a> Watch<'a> {
    fn start(sandbox: &'a Sandbox, args: &[&str]) -> Watch<'a> {
        let args = [&["run", "--watch"], args].concat();
        let mut command = sandbox.command(&args);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        Watch { sandbox, child, lines: Box::new(lines) }
    }

    /// What was said until it waits for the next change.
    fn until_idle(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for line in self.lines.by_ref() {
            if line.starts_with("watching for changes") {
                return said;
            }
            said.push(line);
        }
        panic!("it ended after {said:?}");
    }

    /// What was run after an edit.
    fn after(&mut self, edit: impl FnOnce(&Sandbox)) -> String {
        edit(self.sandbox);
        self.until_idle().join("\n")
    }
}

#[test]
fn each_change_runs_what_it_must() {
    let sandbox = Sandbox::audit();
    sandbox.write("records/b.csv", "record_id,text,label\nx1,the parcel is late,delivery\n");
    sandbox.edit(
        "relabel.yaml",
        "  queue:",
        "  more: {kind: source, path: records/*.csv}\n  queue:",
    );
    let mut watch = Watch::start(&sandbox, &[]);
    let first = watch.until_idle().join("\n");
    assert!(first.contains("run      oof[0]           first run"), "{first}");

    let said = watch.after(|s| s.edit("relabel.yaml", "confidence: 0.5", "confidence: 0.6"));
    assert!(said.contains("changed: relabel.yaml"), "{said}");
    assert!(said.contains("run      suspicious") && said.contains("hit      oof"), "{said}");

    let said = watch.after(|s| s.edit("records.csv", "r0001,", "r0001,another "));
    assert!(said.contains("run      records          records.csv changed"), "{said}");

    let said = watch.after(|s| s.edit("taxonomy.yaml", "technical]", "technical, other]"));
    assert!(said.contains("run      valid            taxonomy changed"), "{said}");

    // A file that a glob finds is a change too.
    let other = "record_id,text,label\nx2,the card was charged,billing\n";
    let said = watch.after(|s| s.write("records/c.csv", other));
    assert!(said.contains("run      more             records/c.csv changed"), "{said}");

    // What is wrong is told and ends nothing; mended, it goes on.
    let said = watch.after(|s| s.edit("relabel.yaml", "kind: kfold", "kind: kfolds"));
    assert!(said.contains("unknown kind `kfolds`"), "{said}");
    let said = watch.after(|s| s.edit("relabel.yaml", "kind: kfolds", "kind: kfold"));
    assert!(said.contains("hit      folds"), "{said}");

    interrupt(&watch.child);
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
}

#[test]
fn several_writes_are_one_change() {
    let sandbox = Sandbox::audit();
    let mut watch = Watch::start(&sandbox, &["--select", "valid"]);
    watch.until_idle();
    let said = watch.after(|sandbox| {
        for n in 0..8 {
            sandbox.edit("records.csv", "r0001,", &format!("r0001,word{n} "));
            std::thread::sleep(std::time::Duration::from_millis(40));
        }
    });
    assert!(said.contains("run      records"), "{said}");
    interrupt(&watch.child);
    watch.child.wait().unwrap();
    let runs = sandbox.relabel(&["runs", "list", "--format", "json"]).ok().json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "one run before the writes, one after");
}

#[test]
fn plugins_and_files_that_are_read_late_are_watched() {
    let sandbox = Sandbox::audit();
    plugins::compile(&sandbox, "tests/fixtures/slow.c", None);
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    // Nobody knows of the file before `valid` has run.
    let scores = |p: f64| {
        let rest = (1.0 - p) / 3.0;
        let row = |record: &Record| format!("{},{p},{rest},{rest},{rest}\n", record.id);
        let rows: String = records(300, 7).iter().map(row).collect();
        format!("record_id,{}\n{rows}", CATEGORIES.join(","))
    };
    sandbox.write("scores.csv", scores(0.7));
    let brought = "  brought: {kind: predict, input: valid, probabilities: scores.csv}\n  queue:";
    sandbox.edit("relabel.yaml", "  queue:", brought);
    let mut watch = Watch::start(&sandbox, &["--select", "oof", "--select", "brought"]);
    watch.until_idle();
    let said = watch.after(|s| s.write("scores.csv", scores(0.4)));
    assert!(said.contains("run      brought          scores.csv changed"), "{said}");
    let said = watch.after(|s| {
        plugins::compile(s, "examples/plugin-c/plugin.c", None);
    });
    assert!(said.contains("run      oof[0]           plugin"), "{said}");
    interrupt(&watch.child);
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
}

#[test]
fn what_is_wrong_from_the_start_is_watched_until_it_is_mended() {
    let sandbox = Sandbox::audit();
    sandbox.write("taxonomy.yaml", "[not, a, taxonomy");
    let records = sandbox.read("records.csv");
    std::fs::remove_file(sandbox.path("records.csv")).unwrap();
    let mut watch = Watch::start(&sandbox, &["--select", "valid"]);
    let said = watch.until_idle().join("\n");
    assert!(said.contains("error: taxonomy") && said.contains("records.csv"), "{said}");
    let said = watch.after(|s| s.write("taxonomy.yaml", TAXONOMY));
    assert!(
        said.contains("cannot read `records.csv`") && !said.contains("error: taxonomy"),
        "{said}"
    );
    let said = watch.after(|s| s.write("records.csv", records));
    assert!(said.contains("run      valid"), "{said}");
    interrupt(&watch.child);
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_plugin_that_comes_later_is_seen() {
    let sandbox = Sandbox::audit();
    sandbox.write("plugins/README", "plugins of this pipeline");
    sandbox.edit("relabel.yaml", "plugin: linear", "plugin: plugin-in-c");
    let mut watch = Watch::start(&sandbox, &["--select", "oof"]);
    let said = watch.until_idle().join("\n");
    assert!(said.contains("plugin-in-c"), "{said}");
    let said = watch.after(|s| {
        plugins::compile(s, "examples/plugin-c/plugin.c", None);
    });
    assert!(said.contains("run      oof[0]"), "{said}");
    interrupt(&watch.child);
    assert_eq!(watch.child.wait().unwrap().code(), Some(130));
}
