//! The values of scores: the same rules for every way they came. Knows nothing of Arrow.

/// How far the sum of a row may be from 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// Checks scores `[rows, classes]` value by value and divides each row by its sum.
pub(crate) fn normalised(values: &[f32], classes: usize) -> Result<Vec<f32>, String> {
    let mut scores = Vec::with_capacity(values.len());
    for (row, given) in values.chunks_exact(classes).enumerate() {
        push_normalised(&mut scores, given).map_err(|reason| format!("row {row}: {reason}"))?;
    }
    Ok(scores)
}

/// Sums in float64 and in class order, so that the bytes depend on nothing else.
fn push_normalised(scores: &mut Vec<f32>, row: &[f32]) -> Result<(), String> {
    let mut sum = 0.0;
    let mut usable = true;
    for &value in row {
        // Written so that NaN fails too.
        usable &= value >= 0.0 && value.is_finite();
        sum += f64::from(value);
    }
    if !usable {
        let (class, value) = row
            .iter()
            .enumerate()
            .find(|(_, value)| !(**value >= 0.0 && value.is_finite()))
            .expect("a value was not usable");
        return Err(format!("class {class} has probability {value}"));
    }
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(format!("the probabilities sum to {sum}"));
    }
    scores.extend(row.iter().map(|&value| (f64::from(value) / sum) as f32 + 0.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &[f32]) -> Result<Vec<f32>, String> {
        let mut scores = Vec::new();
        push_normalised(&mut scores, row).map(|()| scores)
    }

    #[test]
    fn rows_are_divided_by_their_sum() {
        assert_eq!(check(&[0.5, 0.5]), Ok(vec![0.5, 0.5]));
        let scores = check(&[0.3, 0.7005]).unwrap();
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn bad_values_are_named() {
        assert!(check(&[0.5, f32::NAN]).unwrap_err().contains("class 1"));
        assert!(check(&[-0.1, 1.1]).unwrap_err().contains("class 0 has probability -0.1"));
        assert!(check(&[f32::INFINITY, 0.0]).unwrap_err().contains("inf"));
        assert!(check(&[0.5, 0.6]).unwrap_err().contains("sum to 1.1"));
    }
}
