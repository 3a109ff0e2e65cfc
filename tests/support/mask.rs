//! Takes out of a text what differs from run to run: times, run ids, digests.

/// `0.25 s` becomes `[T] s`, a UUID `[RUN]`, a digest `[DIGEST]`, a time stamp `[TIME]`.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(length);
        out.push_str(replacement(word, after));
        rest = after;
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == ':' || c == '.'
}

fn replacement<'a>(word: &'a str, after: &str) -> &'a str {
    let hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    let dashes: Vec<usize> = word.match_indices('-').map(|(at, _)| at).collect();
    let whole = word.trim_end_matches(['.', ':']);
    if whole.len() == 36 && dashes == [8, 13, 18, 23] && hex(&whole.replace('-', "")) {
        "[RUN]"
    } else if matches!(whole.len(), 16 | 64) && hex(whole) {
        "[DIGEST]"
    } else if whole.len() >= 20 && whole.starts_with("20") && whole.contains('T') {
        "[TIME]"
    } else if word.contains('.')
        && word.parse::<f64>().is_ok()
        && (after.starts_with(" s ") || after.starts_with(" s\n"))
    {
        "[T]"
    } else {
        word
    }
}

#[test]
fn only_what_differs_is_masked() {
    let text = "run in 0.25 s (run 01890a5d-ac96-774b-bcce-b302099a8057), p.csv:3, 0.75 sure";
    assert_eq!(masked(text), "run in [T] s (run [RUN]), p.csv:3, 0.75 sure");
    assert_eq!(masked("at 2026-01-02T03:04:05Z 0123456789abcdef"), "at [TIME] [DIGEST]");
}
