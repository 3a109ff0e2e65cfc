//! SQL expressions as conditions: parsed, typed against a schema, taken apart, and carried out.
//! Knows nothing of what a condition decides.

use engine::NodeError;
use plan::{Finding, Schema, World};
use polars::prelude::*;
use polars::sql::sql_expr;

use super::row_order::in_row_order;
use crate::columns::data_type;
use crate::soundness;

/// Parses an expression; `pointer` is its place among the node's parameters.
pub(super) fn parse(condition: &str, pointer: &str) -> Result<Expr, Finding> {
    let expression = sql_expr(condition).map_err(|error| {
        Finding::param(pointer, format!("not a SQL expression: {}", first_line(&error)))
    })?;
    // polars drops the `over` of functions that it has no window for, such as `corr`.
    let windows = expression.into_iter().filter(|part| matches!(part, Expr::Over { .. })).count();
    if windows < windows_written(condition) {
        let message = "a function here looks at all records whatever its `over (...)` says";
        let hint = "functions of one column take `over`; those of two, such as `corr`, do not";
        return Err(Finding::param(pointer, message.to_owned()).with_hint(hint));
    }
    Ok(expression)
}

/// [`check`], unless the same one came out well before: typing costs more than all else in a plan.
pub(super) fn check_once(
    world: &dyn World,
    condition: &str,
    schema: &Schema,
    pointer: &str,
) -> Result<(), Finding> {
    soundness::once(world, &["filter", condition], schema, || check(condition, schema, pointer))
}

/// Parses the expression and types it against an empty frame with the input's columns.
pub(super) fn check(condition: &str, schema: &Schema, pointer: &str) -> Result<(), Finding> {
    let wrong = |message: String| Finding::param(pointer, message);
    let expression = in_row_order(parse(condition, pointer)?);
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
            Some(name) => Err(unknown_column(&name, schema, pointer)),
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

/// A finding on a column that the input does not have, with what may be meant.
pub(super) fn unknown_column(name: &str, schema: &Schema, pointer: &str) -> Finding {
    let finding = Finding::param(pointer, format!("no column `{name}` here"));
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

/// A piece of an expression that is in no quotes.
#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Mark(char),
}

impl Token<'_> {
    fn is_word(self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }
}

/// Words and marks outside of quotes, each with where it begins.
fn tokens(condition: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens = Vec::new();
    let mut quote: Option<char> = None;
    let mut word_start: Option<usize> = None;
    for (at, c) in condition.char_indices().chain([(condition.len(), ' ')]) {
        if let Some(open) = quote {
            quote = quote.filter(|_| c != open);
            continue;
        }
        if c.is_alphanumeric() || c == '_' {
            word_start.get_or_insert(at);
            continue;
        }
        if let Some(from) = word_start.take() {
            tokens.push((from, Token::Word(&condition[from..at])));
        }
        match c {
            '\'' | '"' | '`' => quote = Some(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push((at, Token::Mark(c))),
        }
    }
    tokens
}

/// How often `over (...)` is written with something in it.
fn windows_written(condition: &str) -> usize {
    let tokens: Vec<Token<'_>> = tokens(condition).into_iter().map(|(_, token)| token).collect();
    let is_window = |three: &&[Token<'_>]| {
        three[0].is_word("over") && three[1] == Token::Mark('(') && three[2] != Token::Mark(')')
    };
    tokens.windows(3).filter(is_window).count()
}

/// Splits an expression at its top-level `and`s, if the parts are expressions of their own.
pub(super) fn conjuncts(condition: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut depth = 0i32;
    // `x between a and b` holds an `and` that joins nothing.
    let mut between = false;
    for (at, token) in tokens(condition) {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth -= 1,
            _ if depth != 0 => {}
            _ if token.is_word("between") => between = true,
            _ if token.is_word("and") && between => between = false,
            _ if token.is_word("and") => {
                parts.push(condition[start..at].trim().to_owned());
                start = at + "and".len();
            }
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

/// The columns that an expression names; `None` if it may need others too.
pub(super) fn columns(condition: &str) -> Option<Vec<String>> {
    let expression = sql_expr(condition).ok()?;
    let mut names = Vec::new();
    for part in &expression {
        match part {
            Expr::Column(name) => names.push(name.to_string()),
            Expr::Literal(_)
            | Expr::BinaryExpr { .. }
            | Expr::Cast { .. }
            | Expr::Alias(..)
            | Expr::Function { .. }
            | Expr::Agg(_)
            | Expr::Explode { .. }
            | Expr::Gather { .. }
            | Expr::Filter { .. }
            | Expr::Slice { .. }
            | Expr::KeepName(_)
            | Expr::Ternary { .. } => {}
            _ => return None,
        }
    }
    Some(names)
}

/// For which records an expression is true.
pub(super) fn evaluate(frame: &DataFrame, condition: &str) -> Result<Vec<bool>, NodeError> {
    let expression = in_row_order(sql_expr(condition)?).alias("condition");
    let table = frame.clone().lazy().select([expression]).collect()?;
    let column = table.columns().first().cloned().unwrap_or_default();
    let mask = column
        .bool()
        .map_err(|_| NodeError::input(format!("`{condition}` does not give true or false")))?;
    // One value for all records, as `true` alone gives, counts for each of them.
    if mask.len() == 1 && frame.height() != 1 {
        return Ok(vec![mask.get(0) == Some(true); frame.height()]);
    }
    Ok(mask.iter().map(|value| value == Some(true)).collect())
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
    fn a_condition_names_its_columns() {
        let of = |condition: &str| {
            super::columns(condition).map(|mut names| {
                names.sort_unstable();
                names.dedup();
                names.join(" ")
            })
        };
        assert_eq!(of("a > 1 and not b").as_deref(), Some("a b"));
        assert_eq!(of("upper(a) like 'X%' and \"b c\" is null").as_deref(), Some("a b c"));
        assert_eq!(of("case when a then b else 1 end = 2").as_deref(), Some("a b"));
        assert_eq!(of("a in (1, 2) and b between 1 and c").as_deref(), Some("a b c"));
        assert_eq!(of("true").as_deref(), Some(""));
        assert_eq!(of("a > avg(a) over (partition by b)"), None);
    }

    #[test]
    fn a_condition_is_typed_against_its_input() {
        use plan::ColumnType::{Float, String};
        let schema = Schema::new([("label", String), ("score", Float)]);
        let check = |condition: &str| {
            super::check(condition, &schema, "/where")
                .map_err(|finding| format!("{} {:?}", finding.message, finding.hint))
        };
        assert_eq!(check("score > 0.5 and label != 'x'"), Ok(()));
        assert!(check("scores > 0.5").unwrap_err().contains("did you mean `score`"));
        assert!(check("score + 1").unwrap_err().contains("true or false"));
        let corr = check("corr(score, score) over (partition by label) > 0.5").unwrap_err();
        assert!(corr.contains("whatever its `over (...)` says"), "{corr}");
        for sound in [
            "corr(score, score) > 0.5",
            "sum(score) over (partition by label) > avg(score) over ()",
            "count(*) over (partition by label) > 1 and label != 'over (x'",
            "row_number() over (partition by label order by score desc) <= 3",
            "lag(score) over (partition by label order by score) < score",
            "first_value(score) over (partition by label order by score) = score",
            "median(score) over (partition by label) > stddev(score) over (partition by label)",
            "abs(max(score) over (partition by label, score)) > 1",
        ] {
            assert_eq!(check(sound), Ok(()), "{sound}");
        }
        assert!(check("score >").unwrap_err().contains("not a SQL expression"));
        assert!(check("label > 3 and score > 'a'").is_err());
    }
}
