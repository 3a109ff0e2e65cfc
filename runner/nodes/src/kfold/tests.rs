//! Folds that stay as they are, with and without groups.

use std::collections::BTreeSet;

use super::*;
use crate::columns::string_column;

fn split(frame: &DataFrame, k: u32, group: Option<GroupColumns>) -> Vec<u32> {
    let node = KfoldNode { params: Params { k, stratify: true, seed: 42, group } };
    let [ids, labels] = ["record_id", "label"].map(|name| strings(frame, name).unwrap());
    node.split(frame, ids, labels).unwrap().folds(k as usize)
}

fn by(column: &str) -> Option<GroupColumns> {
    Some(GroupColumns::One(column.to_owned()))
}

/// Records n of `rows`, five classes of different sizes, groups of up to four.
fn records(rows: impl Iterator<Item = usize>) -> DataFrame {
    let rows: Vec<usize> = rows.collect();
    let mixed = |n: usize| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let column = |name: &str, text: &dyn Fn(usize) -> Option<String>| {
        let texts: Vec<Option<String>> = rows.iter().map(|n| text(*n)).collect();
        string_column(name, texts.iter().map(Option::as_deref))
    };
    crate::columns::frame(vec![
        column("record_id", &|n| Some(format!("r{n}"))),
        column("label", &|n| Some(format!("c{}", (mixed(n / 4) % 15 + 1).ilog2()))),
        column("thread", &|n| (n % 3 != 0).then(|| format!("t{}", n / 4))),
        column("author", &|n| (n % 40 == 1).then(|| format!("a{}", n / 400))),
    ])
    .unwrap()
}

#[test]
fn a_group_is_in_one_fold_and_classes_are_spread() {
    let frame = records(4..10_000);
    let folds = split(&frame, 5, by("thread"));
    let threads = frame.column("thread").unwrap().str().unwrap();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (thread, fold) in threads.iter().zip(&folds) {
        if let Some(thread) = thread {
            assert_eq!(seen.entry(thread).or_insert(*fold), fold, "{thread}");
        }
    }
    let labels = strings(&frame, "label").unwrap();
    let classes: BTreeSet<&str> = labels.iter().flatten().collect();
    assert!(classes.len() > 2);
    for class in classes {
        let mut counts = [0usize; 5];
        for (label, fold) in labels.iter().zip(&folds) {
            counts[*fold as usize] += usize::from(label == Some(class));
        }
        let even = counts.iter().sum::<usize>() / 5;
        assert!(counts.iter().all(|count| count.abs_diff(even) <= 4), "{class} {counts:?}");
    }
}

#[test]
fn groups_of_several_columns_are_connected() {
    let frame = records(4..4000);
    let both = GroupColumns::Several(vec!["thread".into(), "author".into()]);
    let folds = split(&frame, 4, Some(both));
    for column in ["thread", "author"] {
        let values = frame.column(column).unwrap().str().unwrap();
        let mut seen: HashMap<&str, u32> = HashMap::new();
        for (value, fold) in values.iter().zip(&folds) {
            if let Some(value) = value {
                assert_eq!(seen.entry(value).or_insert(*fold), fold, "{column} {value}");
            }
        }
    }
}

#[test]
fn groups_of_one_change_nothing() {
    let frame = records(4..1000);
    assert_eq!(split(&frame, 5, None), split(&frame, 5, by("record_id")));
}

#[test]
fn a_few_more_records_move_few_others() {
    for group in [None, by("thread")] {
        let before = split(&records(4..20_000), 5, group.clone());
        let after = split(&records(4..20_200), 5, group);
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(moved * 100 < before.len(), "{moved} of {} moved", before.len());
    }
}

#[test]
fn records_that_join_a_group_move_few_others() {
    // One record in a hundred is new, and in a group that was there before.
    let is_new = |n: &usize| n % 100 == 50;
    let old: Vec<usize> = (4..20_000).filter(|n| !is_new(n)).collect();
    let before = split(&records(old.iter().copied()), 5, by("thread"));
    let after = split(&records(4..20_000), 5, by("thread"));
    let pairs = old.iter().zip(&before);
    let moved = pairs.filter(|(n, fold)| after[**n - 4] != **fold).count();
    assert!(moved * 50 < before.len(), "{moved} of {} moved", before.len());
}

#[test]
fn no_order_of_rows_changes_a_fold() {
    let (forwards, backwards) = (records(4..2000), records((4..2000).rev()));
    let mut other = split(&backwards, 5, by("thread"));
    other.reverse();
    assert_eq!(split(&forwards, 5, by("thread")), other);
}

#[test]
fn no_fold_is_empty_however_rare_the_classes() {
    for count in 5..30 {
        let ids: Vec<String> = (0..count).map(|n| format!("r{n}")).collect();
        let labels = ids.iter().map(|id| Some(id.as_str()));
        let frame = crate::columns::frame(vec![
            string_column("record_id", labels.clone()),
            string_column("label", labels),
        ]);
        let folds: BTreeSet<u32> = split(&frame.unwrap(), 5, None).into_iter().collect();
        assert_eq!(folds.len(), 5, "{count} records of as many classes");
    }
}
