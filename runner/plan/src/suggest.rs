//! "did you mean": the nearest of a few known names.

/// The known name nearest to `word`, when it is near enough to be a slip of the pen.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| {
            let other = name.to_lowercase().replace('_', "-");
            (strsim::damerau_levenshtein(&folded, &other), name)
        })
        .filter(|(distance, name)| *distance <= 1.max(name.chars().count().max(word.len()) / 3))
        .min_by(|a, b| a.cmp(b))
        .map(|(_, name)| name)
}

/// A hint that suggests the nearest name, or lists what there is.
pub(crate) fn suggestion<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    noun: &str,
) -> Option<String> {
    if let Some(name) = did_you_mean(word, known.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let mut names: Vec<&str> = known.into_iter().collect();
    if names.is_empty() {
        return None;
    }
    names.sort_unstable();
    let more = names.len().saturating_sub(12);
    names.truncate(12);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{noun}: `{}`{tail}", names.join("`, `")))
}
