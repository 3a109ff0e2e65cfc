//! `relabel demo`: the whole story on made-up records, as a script would check it.

use serde_json::Value;

use crate::support::Sandbox;

fn demo(sandbox: &Sandbox, folder: &str, more: &[&str]) -> Value {
    let args: Vec<&str> =
        ["demo", folder, "--format", "json"].iter().chain(more).copied().collect();
    sandbox.relabel(&args).ok().json()
}

fn number(round: &Value, name: &str) -> f64 {
    round[name].as_f64().unwrap_or_else(|| panic!("no {name} in {round}"))
}

#[test]
fn the_story_holds() {
    let sandbox = Sandbox::empty();
    let story = demo(&sandbox, "d", &[]);
    let rounds = story["rounds"].as_array().unwrap();
    let (first, last) = (&rounds[0], rounds.last().unwrap());
    assert!(rounds.len() >= 3, "{story}");
    assert_eq!((&first["round"], &first["reviewed"]), (&0.into(), &0.into()));
    let (before, after) = (number(first, "macro_f1_gold"), number(last, "macro_f1_gold"));
    assert!(after >= before + 0.1 && after > 0.9, "macro F1 {before} -> {after}");
    let acceptance = number(&story, "acceptance");
    assert!((0.8..=0.95).contains(&acceptance), "acceptance {acceptance}");
    for pair in rounds.windows(2) {
        assert!(number(&pair[1], "errors_left") < number(&pair[0], "errors_left"), "{story}");
    }
    for (name, path) in story["paths"].as_object().unwrap() {
        assert!(sandbox.path(path.as_str().unwrap()).exists(), "{name}");
    }

    // What it wrote is a project like any other.
    sandbox.relabel(&["plan", "d/demo.yaml", "--exit-code"]).ok();
    let status = sandbox.relabel(&["review", "status", "-p", "d/demo.yaml"]).ok();
    assert!(status.stdout.contains("demo/queue"), "{}", status.stdout);
    let reviewed: u64 = rounds.iter().map(|round| round["reviewed"].as_u64().unwrap()).sum();
    let ledger = sandbox.relabel(&["review", "export", "-p", "d/demo.yaml"]).ok();
    assert_eq!(ledger.stdout.lines().count() as u64, reviewed + 1);
}

#[test]
fn the_data_are_as_messy_as_real_ones() {
    let sandbox = Sandbox::empty();
    demo(&sandbox, "d", &["--rounds", "1"]);
    let rows = sandbox.frame("records", &["-p", "d/demo.yaml"]).len();
    assert!((5500..=7500).contains(&rows), "{rows} records");
    let taxonomy = sandbox.read("d/taxonomy.yaml");
    assert!(taxonomy.matches("name:").count() >= 12, "{taxonomy}");
    let rejected = sandbox.frame("valid.rejected", &["-p", "d/demo.yaml"]);
    let has = |text: &str| {
        rejected.iter().any(|row| row["reason"].as_str().unwrap_or_default().contains(text))
    };
    assert!(has("text: empty") && has("too long") && has("is not in the taxonomy"), "{rejected:?}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let sandbox = Sandbox::empty();
    let small = ["--records", "600", "--rounds", "2", "--seed", "5"];
    let (one, two) = (demo(&sandbox, "a", &small), demo(&sandbox, "b", &small));
    assert_eq!(one["rounds"], two["rounds"]);
    assert_eq!(sandbox.read("a/records.csv"), sandbox.read("b/records.csv"));
    let cleaned = |folder: &str| std::fs::read(sandbox.path(folder).join("out/cleaned.parquet"));
    assert_eq!(cleaned("a").unwrap(), cleaned("b").unwrap(), "byte for byte");
    let other = demo(&sandbox, "c", &["--records", "600", "--rounds", "2", "--seed", "6"]);
    assert_ne!(one["rounds"], other["rounds"]);

    // Told again in the same folder, it starts from nothing.
    assert_eq!(demo(&sandbox, "a", &small)["rounds"], one["rounds"]);
}

#[test]
fn a_table_for_people() {
    let sandbox = Sandbox::empty();
    let args = ["demo", "d", "--records", "600", "--rounds", "1"];
    let outcome = sandbox.relabel(&args).ok();
    let header: Vec<&str> = outcome.stdout.lines().next().unwrap().split("  ").collect();
    let header: Vec<&str> = header.into_iter().map(str::trim).filter(|h| !h.is_empty()).collect();
    let wanted = ["round", "reviewed", "accepted", "acceptance", "errors left", "macro F1 on gold"];
    assert_eq!(header, wanted, "{}", outcome.stdout);
}

#[test]
fn a_folder_with_other_things_is_left_alone() {
    let sandbox = Sandbox::empty();
    sandbox.write("mine/notes.txt", "keep me");
    let outcome = sandbox.relabel(&["demo", "mine"]).code(2);
    outcome.says(&["`mine` is there and is no demo; nothing was written"]);
    assert_eq!(sandbox.read("mine/notes.txt"), "keep me");
}
