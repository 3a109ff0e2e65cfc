//! SQL expressions whose results do not depend on the number of threads.
//!
//! polars cuts the argument of a sum into one piece for each thread, so the last digits of a sum of
//! floats follow their number (`AggregationExpr` in polars-expr). Here sums are made of the whole
//! column in the order of its rows, and what other aggregates of floats read is one piece. Inside of
//! windows each group is summed by one thread, in row order. Knows nothing of conditions.

use polars::prelude::*;

/// The name by which a sum that was put in place of polars' is known again.
const SUM: &str = "sum in row order";

/// The same expression with aggregates that give the same bits on any number of threads.
pub(super) fn in_row_order(expression: Expr) -> Expr {
    expression.map_expr(|part| match part {
        Expr::Agg(AggExpr::Sum(input)) => sum(input.as_ref().clone()),
        Expr::Agg(AggExpr::Mean(input)) => Expr::Agg(AggExpr::Mean(one_piece(&input))),
        Expr::Agg(AggExpr::Std(input, ddof)) => Expr::Agg(AggExpr::Std(one_piece(&input), ddof)),
        Expr::Agg(AggExpr::Var(input, ddof)) => Expr::Agg(AggExpr::Var(one_piece(&input), ddof)),
        Expr::Function { input, function: function @ FunctionExpr::Correlation { .. } } => {
            let input = input.into_iter().map(Expr::rechunk).collect();
            Expr::Function { input, function }
        }
        Expr::Over { function, partition_by, order_by, mapping } => {
            // Rows that are equal in `order by` stay in their order.
            let stable = |options: SortOptions| options.with_maintain_order(true);
            let order_by = order_by.map(|(by, options)| (by, stable(options)));
            let function = Arc::new(as_parsed(function.as_ref().clone()));
            Expr::Over { function, partition_by, order_by, mapping }
        }
        other => other,
    })
}

fn one_piece(input: &Expr) -> Arc<Expr> {
    Arc::new(input.clone().rechunk())
}

/// The sum of a column as polars has it, made by one thread.
fn sum(input: Expr) -> Expr {
    let add = |column: &Column| -> PolarsResult<Column> {
        let sum = column.as_materialized_series().rechunk().sum_reduce()?;
        Ok(sum.into_column(column.name().clone()))
    };
    // Only the sum itself knows of what type it is: no rows have one too.
    let typed = move |_: &Schema, fields: &[Field]| -> PolarsResult<Field> {
        let none = Column::new_empty(fields[0].name().clone(), fields[0].dtype());
        Ok(Field::new(none.name().clone(), add(&none)?.dtype().clone()))
    };
    match apply_multiple(move |columns| add(&columns[0]), [input], typed, true) {
        Expr::AnonymousFunction { input, function, options, .. } => {
            let fmt_str = Box::new(SUM.into());
            Expr::AnonymousFunction { input, function, options, fmt_str }
        }
        other => other,
    }
}

/// Takes back what was put in place inside of a window: its groups are whole there, and polars' own
/// aggregates of them are faster.
fn as_parsed(expression: Expr) -> Expr {
    expression.map_expr(|part| match part {
        Expr::AnonymousFunction { mut input, fmt_str, .. }
            if input.len() == 1 && fmt_str.as_str() == SUM =>
        {
            Expr::Agg(AggExpr::Sum(Arc::new(input.remove(0))))
        }
        Expr::Function { mut input, function: FunctionExpr::Rechunk } if input.len() == 1 => {
            input.remove(0)
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use polars::sql::sql_expr;

    use super::*;

    /// Evaluates an expression over 300,000 rows of which `x` has tenths, and other columns.
    fn value(sql: &str) -> AnyValue<'static> {
        let rows = 300_000;
        let whole: Vec<Option<i64>> = (0..rows).map(|n| (n % 3 > 0).then_some(n)).collect();
        let gaps: Vec<Option<f64>> = (0..rows).map(|n| (n % 2 == 0).then_some(0.5)).collect();
        let broken: Vec<f64> = (0..rows).map(|n| if n == 7 { f64::NAN } else { 1.0 }).collect();
        let columns = vec![
            Column::new("x".into(), vec![0.1; rows as usize]),
            Column::new("single".into(), vec![0.1f32; rows as usize]),
            Column::new("whole".into(), whole),
            Column::new("gaps".into(), gaps),
            Column::new("broken".into(), broken),
            Column::new("none".into(), vec![None::<f64>; rows as usize]),
            Column::new("group".into(), (0..rows).map(|n| n % 2).collect::<Vec<i64>>()),
        ];
        let frame = DataFrame::new(rows as usize, columns).unwrap();
        let of = |frame: &DataFrame| {
            let expression = in_row_order(sql_expr(sql).unwrap()).alias("value");
            frame.clone().lazy().select([expression]).collect().unwrap()
        };
        let table = of(&frame);
        // Typed on no rows as it is on many.
        assert_eq!(table.schema(), of(&frame.clear()).schema(), "{sql}");
        table.column("value").unwrap().get(0).unwrap().into_static()
    }

    #[test]
    fn floats_are_summed_by_one_thread() {
        let one = Series::new("x".into(), vec![0.1; 300_000]).sum::<f64>().unwrap();
        let halves = 2.0 * Series::new("x".into(), vec![0.1; 150_000]).sum::<f64>().unwrap();
        assert_ne!(one, halves, "the test is of no use otherwise");
        for sql in ["sum(x)", "sum(x) over ()", "total(x)", "sum(x + 0) / 1", "-sum(-x)"] {
            assert_eq!(value(sql), AnyValue::Float64(one), "{sql}");
        }
    }

    #[test]
    fn sums_are_those_of_sql() {
        let whole: i64 = (0..300_000).filter(|n| n % 3 > 0).sum();
        assert_eq!(value("sum(whole)"), AnyValue::Int64(whole));
        assert_eq!(value("sum(gaps)"), AnyValue::Float64(75_000.0));
        assert_eq!(value("sum(none)"), AnyValue::Null);
        assert_eq!(value("total(none)"), AnyValue::Float64(0.0));
        assert!(matches!(value("sum(single)"), AnyValue::Float32(_)));
        assert!(matches!(value("sum(broken)"), AnyValue::Float64(sum) if sum.is_nan()));
        let twice = value("sum(x) over (partition by \"group\")");
        let half = Series::new("x".into(), vec![0.1; 150_000]).sum::<f64>().unwrap();
        assert!(matches!(twice, AnyValue::Float64(sum) if (sum - half).abs() < 1e-6), "{twice}");
        assert_eq!(value("sum(whole) filter (where whole < 3)"), AnyValue::Int64(3));
    }

    #[test]
    fn windows_keep_their_own_sums() {
        let parsed = sql_expr("sum(x) over (partition by sum(y))").unwrap();
        let text = format!("{:?}", in_row_order(parsed));
        let (window, by) = text.split_once(".over").unwrap();
        assert!(window.contains("col(\"x\").sum()") && !window.contains(SUM), "{text}");
        assert!(by.contains(SUM), "{text}");
    }
}
