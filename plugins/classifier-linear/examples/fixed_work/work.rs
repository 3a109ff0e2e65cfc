//! A made-up data set that is the same everywhere, for counting what the classifier costs.
//!
//! Words are drawn by rank as in real texts, some by class, and one label in ten is wrong.

/// Texts with labels.
pub struct Work {
    pub text: String,
    /// Text `r` is `offsets[r]..offsets[r + 1]` of `text`.
    pub offsets: Vec<i64>,
    pub labels: Vec<u32>,
    /// The labels before errors were put in.
    pub right: Vec<u32>,
}

pub const CLASSES: usize = 12;

/// Makes `rows` texts of about 20 words.
pub fn work(rows: usize) -> Work {
    let mut state = 7_u64;
    let mut draw = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(state) * u128::from(below)) >> 64) as u64
    };
    let mut work =
        Work { text: String::new(), offsets: vec![0], labels: Vec::new(), right: Vec::new() };
    for _ in 0..rows {
        let class = draw(CLASSES as u64);
        for _ in 0..10 + draw(20) {
            // The product of two draws prefers small ranks.
            let rank = draw(70) * draw(70) * draw(2) + draw(60);
            let word = if draw(6) == 0 { 100_000 + class * 50 + rank % 40 } else { rank };
            work.text.push_str(&format!("w{word:x} "));
        }
        work.offsets.push(work.text.len() as i64);
        let wrong = draw(10) == 0;
        work.right.push(class as u32);
        work.labels.push(if wrong { draw(CLASSES as u64) } else { class } as u32);
    }
    work
}
