//! `filter`: keeps the records for which a SQL expression is true, and says what each condition
//! let through.

use engine::{Inputs, Node, NodeError, Outputs, RunContext};
use plan::{CheckContext, Checked, Finding, InputPort, PortType, Schema, World};
use polars::prelude::*;
use polars::sql::sql_expr;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::columns::{data_type, frame_port};
use crate::kind::{Kind, Making};

/// A rule on confidence that keeps less than this share of the disagreements starves the queue.
const STARVING: f64 = 0.01;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// A polars SQL expression that is true for the records to keep.
    #[serde(rename = "where")]
    condition: String,
}

pub(crate) struct Filter;

impl Kind for Filter {
    type Params = Params;

    const NAME: &'static str = "filter";
    const VERSION: u32 = 1;
    const SUMMARY: &'static str = "Keeps the records for which a SQL expression is true.";

    fn input_ports() -> Vec<InputPort> {
        vec![frame_port("input", "the records to choose from", &[])]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        let schema = context.schema("input").cloned().unwrap_or_default();
        check_condition(&params.condition, &schema)?;
        Ok(Checked { outputs: vec![("", PortType::Frame(schema))], ..Checked::default() })
    }

    fn check_alone(params: &Params, _: &dyn World) -> Vec<Finding> {
        parse_condition(&params.condition).err().into_iter().collect()
    }

    fn node(params: Params, _: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(FilterNode { condition: params.condition }))
    }
}

fn parse_condition(condition: &str) -> Result<Expr, Finding> {
    sql_expr(condition).map_err(|error| {
        Finding::param("/where", format!("not a SQL expression: {}", first_line(&error)))
    })
}

/// Parses the expression and types it against an empty frame with the input's columns.
fn check_condition(condition: &str, schema: &Schema) -> Result<(), Vec<Finding>> {
    let wrong = |message: String| vec![Finding::param("/where", message)];
    let expression = parse_condition(condition).map_err(|finding| vec![finding])?;
    let columns = schema
        .columns
        .iter()
        .map(|c| Column::new_empty(c.name.as_str().into(), &data_type(c.column_type)))
        .collect();
    let frame = DataFrame::new(0, columns).map_err(|error| wrong(first_line(&error)))?;
    // Carried out on no rows: a text compared with a number is found only then.
    // Nothing is gained by optimising that.
    let typed =
        frame.lazy().without_optimizations().select([expression.alias("condition")]).collect();
    match typed.and_then(|typed| typed.column("condition").map(|column| column.dtype().clone())) {
        Ok(DataType::Boolean) => Ok(()),
        Ok(found) => {
            Err(wrong(format!("the expression gives {found} where true or false is needed")))
        }
        Err(error) => match missing_column(&error) {
            Some(_) if schema.open => Ok(()),
            Some(name) => Err(vec![unknown_column(&name, schema)]),
            None => Err(wrong(first_line(&error))),
        },
    }
}

/// The column an error says is not there; the frame library tells it in words alone.
fn missing_column(error: &PolarsError) -> Option<String> {
    let text = error.to_string();
    let rest = text.split("unable to find column \"").nth(1)?;
    rest.split('"').next().map(str::to_owned)
}

fn unknown_column(name: &str, schema: &Schema) -> Finding {
    let finding = Finding::param("/where", format!("no column `{name}` here"));
    finding.with_hint(match plan::did_you_mean(name, schema.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<&str> = schema.names().collect();
            format!("columns: `{}`", names.join("`, `"))
        }
    })
}

/// The heart of a message of the frame library, without its plan listings.
fn first_line(error: &PolarsError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// Splits an expression at its top-level `and`s, if the parts are expressions of their own.
fn conjuncts(condition: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut depth = 0i32;
    let mut quote: Option<char> = None;
    // `x between a and b` holds an `and` that joins nothing.
    let mut between = false;
    let mut word_start: Option<usize> = None;
    let end = condition.len();
    for (at, c) in condition.char_indices().chain([(end, ' ')]) {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            word_start.get_or_insert(at);
            continue;
        }
        if let Some(from) = word_start.take() {
            let word = &condition[from..at];
            if depth == 0 && word.eq_ignore_ascii_case("between") {
                between = true;
            } else if depth == 0 && word.eq_ignore_ascii_case("and") {
                if between {
                    between = false;
                } else {
                    parts.push(condition[start..from].trim().to_owned());
                    start = at;
                }
            }
        }
        match c {
            '\'' | '"' | '`' => quote = Some(c),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
    }
    parts.push(condition[start..].trim().to_owned());
    // A top-level `or` binds weaker than `and`: then the parts are no conditions of their own.
    let weak = parts.len() > 1
        && sql_expr(condition)
            .is_ok_and(|whole| !matches!(whole, Expr::BinaryExpr { op: Operator::And, .. }));
    if weak || parts.iter().any(|part| sql_expr(part).is_err()) {
        return vec![condition.trim().to_owned()];
    }
    parts.into_iter().map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

struct FilterNode {
    condition: String,
}

impl Node for FilterNode {
    fn run(&self, _: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let conditions = conjuncts(&self.condition);
        let mut masks = Vec::with_capacity(conditions.len());
        for (n, condition) in conditions.iter().enumerate() {
            let expression = sql_expr(condition)?.alias(format!("condition {n}"));
            let table = frame.clone().lazy().select([expression]).collect()?;
            let column = table.columns().first().cloned().unwrap_or_default();
            let mask = column.bool().map_err(|_| {
                NodeError::input(format!("`{condition}` does not give true or false"))
            })?;
            // One value for all records, as `true` alone gives, counts for each of them.
            let mask: Vec<bool> = if mask.len() == 1 && frame.height() != 1 {
                vec![mask.get(0) == Some(true); frame.height()]
            } else {
                mask.iter().map(|value| value == Some(true)).collect()
            };
            masks.push(mask);
        }
        let mut kept = vec![true; frame.height()];
        let mut counts = Vec::new();
        for (condition, mask) in conditions.iter().zip(&masks) {
            let before = kept.iter().filter(|kept| **kept).count();
            kept.iter_mut().zip(mask).for_each(|(kept, mask)| *kept &= mask);
            let after = kept.iter().filter(|kept| **kept).count();
            counts.push((condition.clone(), after, before));
        }
        let mask: BooleanChunked = kept.iter().map(|kept| Some(*kept)).collect();
        let mut outputs = Outputs::frame(frame.filter(&mask)?);
        for (condition, after, before) in counts {
            outputs.count(condition, after, Some(before));
        }
        warn_if_starving(frame, &conditions, &masks, &mut outputs);
        Ok(outputs)
    }
}

/// Warns when a fixed confidence leaves next to nothing of the disagreements.
fn warn_if_starving(
    frame: &DataFrame,
    conditions: &[String],
    masks: &[Vec<bool>],
    outputs: &mut Outputs,
) {
    let columns = ["predicted_label", "given_label"].map(|c| crate::columns::strings(frame, c));
    let [Ok(predicted), Ok(given)] = columns else { return };
    for (condition, mask) in conditions.iter().zip(masks) {
        if !condition.contains("prediction_confidence") {
            continue;
        }
        let pairs = predicted.iter().zip(given.iter()).zip(mask);
        let (mut kept, mut all) = (0usize, 0usize);
        for ((predicted, given), mask) in pairs {
            if predicted != given {
                all += 1;
                kept += usize::from(*mask);
            }
        }
        if all > 0 && (kept as f64) < STARVING * all as f64 {
            outputs.warn(
                format!("`{condition}` keeps {kept} of {all} disagreements"),
                Some(
                    "a fixed confidence starves on many sets; use a threshold that adapts to \
                         each class, or rank by `given_confidence` with a `budget`",
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_split_where_they_are_joined() {
        assert_eq!(conjuncts("a > 1 AND b"), ["a > 1", "b"]);
        assert_eq!(conjuncts("a between 1 and 2 and b"), ["a between 1 and 2", "b"]);
        assert_eq!(conjuncts("a = 'x and y' and (b and c)"), ["a = 'x and y'", "(b and c)"]);
        assert_eq!(conjuncts("a and b or c"), ["a and b or c"]);
        assert_eq!(conjuncts("band"), ["band"]);
    }

    #[test]
    fn a_condition_is_typed_against_its_input() {
        use plan::ColumnType::{Float, String};
        let schema = Schema::new([("label", String), ("score", Float)]);
        let check = |condition: &str| {
            check_condition(condition, &schema)
                .map_err(|findings| format!("{} {:?}", findings[0].message, findings[0].hint))
        };
        assert_eq!(check("score > 0.5 and label != 'x'"), Ok(()));
        assert!(check("scores > 0.5").unwrap_err().contains("did you mean `score`"));
        assert!(check("score + 1").unwrap_err().contains("true or false"));
        assert!(check("score >").unwrap_err().contains("not a SQL expression"));
        assert!(check("label > 3 and score > 'a'").is_err());
    }
}
