//! What a reviewer may say about an item, and the rules a decision keeps.
//!
//! Knows nothing of storage: a backend asks here before it appends a row.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// What a reviewer said. The names are those of the ledger, CSV files and the web tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The proposed label is right.
    Accept,
    /// The given label is right.
    Keep,
    /// Another category is right; the final label names it.
    Other,
    /// Both labels fit; the given one stays.
    BothFit,
    /// No category fits, or the text cannot be used.
    Invalid,
    /// The reviewer cannot tell; the record stays unverified.
    Unsure,
    /// Takes back the decision in effect; the one before it counts again.
    Undo,
}

impl Decision {
    pub const ALL: [Decision; 7] = [
        Decision::Accept,
        Decision::Keep,
        Decision::Other,
        Decision::BothFit,
        Decision::Invalid,
        Decision::Unsure,
        Decision::Undo,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Decision::Accept => "accept",
            Decision::Keep => "keep",
            Decision::Other => "other",
            Decision::BothFit => "both-fit",
            Decision::Invalid => "invalid",
            Decision::Unsure => "unsure",
            Decision::Undo => "undo",
        }
    }

    /// Whether a record with this decision in effect counts as verified.
    pub fn verifies(self) -> bool {
        !matches!(self, Decision::Unsure | Decision::Undo)
    }

    /// The final label of this decision on an item with these labels.
    ///
    /// `stated` is what the reviewer wrote, if anything; it must not contradict the decision.
    pub(crate) fn final_label(
        self,
        given_label: &str,
        proposed_label: &str,
        stated: Option<&str>,
    ) -> Result<Option<String>, DecisionProblem> {
        let implied = match self {
            Decision::Accept => Some(proposed_label),
            Decision::Keep | Decision::BothFit => Some(given_label),
            Decision::Other => return other_label(given_label, proposed_label, stated),
            Decision::Invalid | Decision::Unsure | Decision::Undo => None,
        };
        match (implied, stated) {
            (Some(implied), Some(stated)) if implied != stated => {
                Err(DecisionProblem::Contradiction {
                    decision: self,
                    implied: implied.to_owned(),
                    stated: stated.to_owned(),
                })
            }
            (None, Some(stated)) => {
                Err(DecisionProblem::LabelNotWanted { decision: self, stated: stated.to_owned() })
            }
            _ => Ok(implied.map(str::to_owned)),
        }
    }
}

fn other_label(
    given_label: &str,
    proposed_label: &str,
    stated: Option<&str>,
) -> Result<Option<String>, DecisionProblem> {
    match stated {
        None => Err(DecisionProblem::LabelMissing),
        Some(label) if label == given_label => {
            Err(DecisionProblem::NotAnother { label: label.to_owned(), say: Decision::Keep })
        }
        Some(label) if label == proposed_label => {
            Err(DecisionProblem::NotAnother { label: label.to_owned(), say: Decision::Accept })
        }
        Some(label) => Ok(Some(label.to_owned())),
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Decision {
    type Err = UnknownDecision;

    /// Case, and `_` or a space for `-`, make no difference.
    fn from_str(word: &str) -> Result<Decision, UnknownDecision> {
        let folded = word.trim().to_lowercase().replace(['_', ' '], "-");
        Decision::ALL.into_iter().find(|decision| decision.name() == folded).ok_or_else(|| {
            let near =
                |decision: &Decision| strsim::damerau_levenshtein(&folded, decision.name()) <= 2;
            UnknownDecision {
                word: word.to_owned(),
                nearest: Decision::ALL
                    .into_iter()
                    .filter(near)
                    .min_by_key(|d| strsim::damerau_levenshtein(&folded, d.name())),
            }
        })
    }
}

/// A word that is no decision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown decision `{word}`; {}", known_decisions(*.nearest))]
pub struct UnknownDecision {
    pub word: String,
    pub nearest: Option<Decision>,
}

fn known_decisions(nearest: Option<Decision>) -> String {
    match nearest {
        Some(decision) => format!("did you mean `{decision}`?"),
        None => format!("known are `{}`", Decision::ALL.map(Decision::name).join("`, `")),
    }
}

/// A decision to be recorded. The labels of the item it is about come from the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDecision {
    /// The line of the file it was read from, for messages.
    pub line: Option<u64>,
    pub record_id: String,
    pub decision: Decision,
    /// Only `other` needs it; for the rest it is filled in, and must agree if given.
    pub final_label: Option<String>,
    pub reviewed_by: String,
    /// RFC 3339 with an offset; kept in UTC.
    pub reviewed_at: String,
    pub note: Option<String>,
    /// The queue that showed the record; needed only when queues propose different labels.
    pub queue: Option<String>,
    /// Digest of the text the reviewer saw; if given, the item must still have that text.
    pub text_digest: Option<String>,
    /// Sequence number of the decision that this one replaces or takes back; if given, it must
    /// be the one in effect.
    pub supersedes: Option<u64>,
}

impl NewDecision {
    /// A decision with only what every decision needs.
    pub fn new(
        record_id: impl Into<String>,
        decision: Decision,
        reviewed_by: impl Into<String>,
        reviewed_at: impl Into<String>,
    ) -> NewDecision {
        NewDecision {
            line: None,
            record_id: record_id.into(),
            decision,
            final_label: None,
            reviewed_by: reviewed_by.into(),
            reviewed_at: reviewed_at.into(),
            note: None,
            queue: None,
            text_digest: None,
            supersedes: None,
        }
    }

    /// Checks what needs no store: names, time; blank optional fields become absent.
    pub(crate) fn normalised(&self) -> Result<NewDecision, DecisionProblem> {
        if self.record_id.trim().is_empty() {
            return Err(DecisionProblem::EmptyRecordId);
        }
        if self.reviewed_by.trim().is_empty() {
            return Err(DecisionProblem::EmptyReviewer);
        }
        let filled = |value: &Option<String>| value.clone().filter(|v| !v.trim().is_empty());
        Ok(NewDecision {
            reviewed_by: self.reviewed_by.trim().to_owned(),
            reviewed_at: utc_time(&self.reviewed_at)?,
            final_label: filled(&self.final_label),
            note: filled(&self.note),
            queue: filled(&self.queue),
            text_digest: filled(&self.text_digest),
            ..self.clone()
        })
    }
}

/// Parses an RFC 3339 time and writes it in UTC, so that equal instants have equal text.
pub(crate) fn utc_time(text: &str) -> Result<String, DecisionProblem> {
    let text = text.trim();
    let time: jiff::Timestamp =
        text.parse().map_err(|_| DecisionProblem::BadTime { text: text.to_owned() })?;
    Ok(time.to_string())
}

/// Why one decision cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecisionProblem {
    #[error("the record id is empty")]
    EmptyRecordId,
    #[error("`reviewed_by` is empty")]
    EmptyReviewer,
    #[error("`reviewed_at` is `{text}`, not an RFC 3339 time such as `2025-01-31T09:30:00Z`")]
    BadTime { text: String },
    #[error("the record was never queued{}", in_queue(.queue))]
    NotQueued { queue: Option<String> },
    #[error("`{decision}` means the final label `{implied}`, but `{stated}` is stated")]
    Contradiction { decision: Decision, implied: String, stated: String },
    #[error("`{decision}` has no final label, but `{stated}` is stated")]
    LabelNotWanted { decision: Decision, stated: String },
    #[error("`other` needs a final label")]
    LabelMissing,
    #[error("`other` names another label, but `{label}` is what `{say}` stands for")]
    NotAnother { label: String, say: Decision },
    #[error(
        "queues propose different labels for the record; name one of `{}`",
        .queues.join("`, `")
    )]
    AmbiguousQueue { queues: Vec<String> },
    #[error("the text of the record changed since it was reviewed")]
    TextChanged,
    #[error("there is no decision to undo")]
    NothingToUndo,
    #[error("decision {stated} is not in effect; {}", in_effect(*.current))]
    NotInEffect { stated: u64, current: Option<u64> },
}

fn in_queue(queue: &Option<String>) -> String {
    queue.as_ref().map(|queue| format!(" in `{queue}`")).unwrap_or_default()
}

fn in_effect(current: Option<u64>) -> String {
    match current {
        Some(seq) => format!("decision {seq} is"),
        None => "the record has none".to_owned(),
    }
}

/// A decision that cannot be recorded, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDecision {
    /// Place in the slice that was given, from 0.
    pub index: usize,
    /// The line of the file it was read from, if it was.
    pub line: Option<u64>,
    pub record_id: String,
    pub problem: DecisionProblem,
}

impl fmt::Display for BadDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}")?,
            None => write!(f, "decision {}", self.index + 1)?,
        }
        write!(f, ", record `{}`: {}", self.record_id, self.problem)
    }
}

/// Every decision of a batch that cannot be recorded; none of the batch was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDecisions(pub Vec<BadDecision>);

impl fmt::Display for BadDecisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "decision" } else { "decisions" };
        write!(f, "{} {noun} cannot be recorded, so none was", self.0.len())?;
        for bad in &self.0 {
            write!(f, "\n  {bad}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(decision: Decision, stated: Option<&str>) -> String {
        match decision.final_label("given", "proposed", stated) {
            Ok(Some(label)) => label,
            Ok(None) => "-".to_owned(),
            Err(problem) => format!("error: {problem}"),
        }
    }

    #[test]
    fn rules_fill_in_the_final_label() {
        assert_eq!(rule(Decision::Accept, None), "proposed");
        assert_eq!(rule(Decision::Accept, Some("proposed")), "proposed");
        assert_eq!(rule(Decision::Keep, None), "given");
        assert_eq!(rule(Decision::BothFit, Some("given")), "given");
        assert_eq!(rule(Decision::Other, Some("third")), "third");
        assert_eq!(rule(Decision::Invalid, None), "-");
        assert_eq!(rule(Decision::Unsure, None), "-");
    }

    #[test]
    fn rules_refuse_contradictions() {
        let accept = "error: `accept` means the final label `proposed`, but `given` is stated";
        assert_eq!(rule(Decision::Accept, Some("given")), accept);
        assert!(rule(Decision::Keep, Some("proposed")).starts_with("error: `keep` means"));
        assert_eq!(rule(Decision::Other, None), "error: `other` needs a final label");
        assert!(rule(Decision::Other, Some("given")).ends_with("what `keep` stands for"));
        assert!(rule(Decision::Other, Some("proposed")).ends_with("what `accept` stands for"));
        assert!(rule(Decision::Invalid, Some("third")).ends_with("but `third` is stated"));
        assert!(rule(Decision::Unsure, Some("given")).starts_with("error: `unsure` has no"));
    }

    #[test]
    fn names_parse_back_and_slips_get_a_suggestion() {
        for decision in Decision::ALL {
            assert_eq!(decision.name().parse::<Decision>(), Ok(decision));
        }
        assert_eq!(" Both_Fit ".parse::<Decision>(), Ok(Decision::BothFit));
        let error = "acept".parse::<Decision>().unwrap_err().to_string();
        assert_eq!(error, "unknown decision `acept`; did you mean `accept`?");
        let error = "wrong".parse::<Decision>().unwrap_err().to_string();
        assert!(error.ends_with(
            "known are `accept`, `keep`, `other`, `both-fit`, `invalid`, `unsure`, `undo`"
        ));
    }

    #[test]
    fn times_are_kept_in_utc() {
        assert_eq!(utc_time("2025-01-31T10:30:00+01:00").unwrap(), "2025-01-31T09:30:00Z");
        assert_eq!(utc_time("2025-01-31T09:30:00.5Z").unwrap(), "2025-01-31T09:30:00.5Z");
        for bad in ["", "yesterday", "2025-01-31", "2025-01-31T09:30:00", "2025-02-30T00:00:00Z"] {
            assert!(utc_time(bad).is_err(), "{bad}");
        }
    }
}
