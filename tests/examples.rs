//! The examples do what their README says. The one in C is in `plugins.rs`.

use crate::support::{Sandbox, repository};

#[test]
fn a_first_audit() {
    let sandbox = Sandbox::empty();
    let folder = repository().join("examples/first-audit");
    for name in ["decisions.csv", "messages.csv", "relabel.yaml"] {
        sandbox.write(name, std::fs::read(folder.join(name)).unwrap());
    }
    sandbox.run(&[]);
    let queued = sandbox.relabel(&["show", "queue", "--format", "csv"]).ok();
    assert!(queued.stdout.contains("m08,") && queued.stdout.contains("m16,"), "{}", queued.stdout);
    sandbox.relabel(&["review", "import", "decisions.csv"]).ok();
    let events = sandbox.run(&[]);
    assert_eq!(events.reason("decided"), "ledger-changed");
    let cleaned = sandbox.read("out/cleaned.csv");
    let corrected: Vec<&str> =
        cleaned.lines().filter(|line| line.contains(",correction,")).collect();
    assert_eq!(corrected.len(), 2, "{cleaned}");
    assert!(corrected[0].starts_with("m08,") && corrected[1].starts_with("m16,"), "{corrected:?}");
}

#[test]
fn every_example_is_run_by_a_test() {
    let mut names: Vec<String> = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    // The comparison needs the peers' packages and minutes; it is for people to run.
    names.retain(|name| name != "benchmark");
    assert_eq!(names, ["first-audit", "plugin-c"], "a new example needs a test here");
}
