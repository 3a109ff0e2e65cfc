//! Random use of a store, compared step by step with a model that is too simple to be wrong.

use std::collections::BTreeMap;

use super::Opener;
use super::support::*;
use crate::{Decision, NewDecision, NewItem, ReviewStore, fold, text_digest};

/// A small generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

/// What one reviewer would keep on paper.
#[derive(Default)]
struct Model {
    /// Text and audit run of each record when it was last put in the queue.
    queued: BTreeMap<String, (String, u64)>,
    withdrawn: BTreeMap<String, bool>,
    /// Decisions in effect on each record, the latest last, with what was shown.
    piles: BTreeMap<String, Vec<(Decision, String, u64)>>,
}

impl Model {
    fn is_verified(&self, record_id: &str, text: &str) -> bool {
        let top = self.piles.get(record_id).and_then(|pile| pile.last());
        top.is_some_and(|(kind, seen, _)| *kind != Decision::Unsure && seen == text)
    }

    fn is_decided(&self, record_id: &str) -> bool {
        let (text, run) = &self.queued[record_id];
        let top = self.piles.get(record_id).and_then(|pile| pile.last());
        let unsure_now = top.is_some_and(|(_, seen, in_run)| seen == text && in_run == run);
        self.is_verified(record_id, text) || unsure_now
    }

    fn open(&self) -> Vec<String> {
        let ids = self.queued.keys().cloned();
        ids.filter(|id| !self.is_decided(id) && !self.withdrawn[id]).collect()
    }

    fn queue(&mut self, run: u64, batch: &[NewItem]) {
        for id in self.queued.keys().cloned().collect::<Vec<_>>() {
            let asked = batch.iter().any(|item| item.record_id == id);
            if !asked && !self.is_decided(&id) {
                self.withdrawn.insert(id, true);
            }
        }
        for item in batch {
            if !self.is_verified(&item.record_id, &item.text) {
                self.queued.insert(item.record_id.clone(), (item.text.clone(), run));
                self.withdrawn.insert(item.record_id.clone(), false);
            }
        }
    }

    /// Answers whether the store should take the decision.
    fn decide(&mut self, record_id: &str, kind: Decision) -> bool {
        let Some((text, run)) = self.queued.get(record_id).cloned() else { return false };
        let pile = self.piles.entry(record_id.to_owned()).or_default();
        if kind == Decision::Undo {
            return pile.pop().is_some();
        }
        pile.push((kind, text, run));
        true
    }

    fn current(&self) -> Vec<(String, Decision, String)> {
        let top = |(id, pile): (&String, &Vec<(Decision, String, u64)>)| {
            pile.last().map(|(kind, text, _)| (id.clone(), *kind, text_digest(text)))
        };
        self.piles.iter().filter_map(top).collect()
    }
}

pub(crate) fn random_use_agrees_with_the_model<O: Opener>(_: &O) {
    for seed in 1..=8 {
        let opener = O::fresh();
        one_life(&*opener.connect(), seed);
    }
}

fn one_life(store: &dyn ReviewStore, seed: u64) {
    let mut random = Random(seed * 0x9E37_79B9_7F4A_7C15);
    let mut model = Model::default();
    let mut taken: Vec<NewDecision> = Vec::new();
    for step in 0..120 {
        if random.below(6) == 0 {
            let batch = random_batch(&mut random);
            let run = random.below(3);
            queue(store, &format!("run-{run}"), &batch);
            model.queue(run, &batch);
            assert_eq!(queue(store, &format!("run-{run}"), &batch)[..2], [0, 0]);
        } else {
            let record_id = format!("r{}", random.below(6));
            let kind = Decision::ALL[random.below(7) as usize];
            let new = decision(&record_id, kind, step);
            let takes = model.decide(&record_id, kind);
            let outcome = store.record_decisions(std::slice::from_ref(&new));
            assert_eq!(outcome.is_ok(), takes, "seed {seed} step {step} {record_id} {kind}");
            taken.extend(takes.then_some(new));
        }
        let found = store.current_decisions().unwrap();
        let found = found.into_iter().map(|d| (d.record_id, d.decision, d.text_digest));
        assert_eq!(found.collect::<Vec<_>>(), model.current(), "seed {seed} step {step}");
        assert_eq!(open_ids(store), model.open(), "seed {seed} step {step}");
    }
    let head = store.ledger_head().unwrap();
    let again = record(store, &taken);
    assert_eq!((again.recorded, again.already_there), (0, taken.len() as u64));
    assert_eq!((again.head, head.seq), (head.clone(), taken.len() as u64));
    assert_eq!(fold(&store.ledger().unwrap()), store.current_decisions().unwrap());
    assert_eq!(store.verify().unwrap().head, head);
    assert!(store.verify().unwrap().is_intact());
}

fn random_batch(random: &mut Random) -> Vec<NewItem> {
    let mut batch = Vec::new();
    for record in 0..6 {
        if random.below(3) > 0 {
            let text = format!("text {}", random.below(2));
            batch.push(NewItem { text, ..item(&format!("r{record}")) });
        }
    }
    batch
}
