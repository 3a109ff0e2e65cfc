//! Reads and checks the scores a plugin returns. Nothing is believed: type, shape, pointers and
//! every single value are looked at before the scores leave this module.

use std::ffi::{CStr, c_char};
use std::slice;

use plugin_abi::{ArrowArray, ArrowSchema};

/// How far the sum of a row may be from 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// Copies scores out of a plugin's array, each row divided by its sum.
///
/// # Safety
///
/// Both structs were filled by a plugin that keeps the Arrow contract: pointers are null or live,
/// and buffers are as long as the lengths say.
pub(crate) unsafe fn read_scores(
    schema: &ArrowSchema,
    array: &ArrowArray,
    rows: usize,
    classes: usize,
) -> Result<Vec<f32>, String> {
    // SAFETY: the caller's promise.
    let values = unsafe { checked_values(schema, array, rows, classes)? };
    let mut scores = Vec::with_capacity(values.len());
    for (row, given) in values.chunks_exact(classes).enumerate() {
        push_normalised(&mut scores, given).map_err(|reason| format!("row {row}: {reason}"))?;
    }
    Ok(scores)
}

/// # Safety
///
/// As for [`read_scores`].
unsafe fn checked_values<'a>(
    schema: &ArrowSchema,
    array: &'a ArrowArray,
    rows: usize,
    classes: usize,
) -> Result<&'a [f32], String> {
    if schema.release.is_none() || array.release.is_none() {
        return Err("returned no scores".to_owned());
    }
    // SAFETY: the caller's promise: strings and children are null or live.
    let (format, child_schema, child) = unsafe {
        let format = read_format(schema.format, "scores")?;
        let child_schema = only_child(schema.n_children, schema.children, "schema")?;
        (format, child_schema, only_child(array.n_children, array.children, "scores")?)
    };
    if format != format!("+w:{classes}") {
        return Err(format!("returned scores of type `{format}`, not `+w:{classes}`"));
    }
    // SAFETY: as above.
    let child_format = unsafe { read_format(child_schema.format, "values")? };
    if child_format != "f" {
        return Err(format!("returned values of type `{child_format}`, not float32"));
    }
    if usize::try_from(array.length) != Ok(rows) {
        return Err(format!("returned {} rows of scores, not {rows}", array.length));
    }
    if array.null_count > 0 || child.null_count > 0 {
        return Err("returned nulls among the scores".to_owned());
    }
    let needed = rows.checked_mul(classes).ok_or("the scores do not fit into memory")?;
    let skipped = usize::try_from(array.offset).ok().and_then(|rows| rows.checked_mul(classes));
    let (Some(skipped), Ok(offset), Ok(length)) =
        (skipped, usize::try_from(child.offset), usize::try_from(child.length))
    else {
        return Err("returned a negative length or offset".to_owned());
    };
    if skipped.checked_add(needed).is_none_or(|end| end > length) {
        return Err(format!("returned {length} values for {rows} rows of {classes} classes"));
    }
    if needed == 0 {
        return Ok(&[]);
    }
    if child.n_buffers != 2 || child.buffers.is_null() {
        return Err("returned values without two buffers".to_owned());
    }
    // SAFETY: there are two buffer pointers, and the second holds `offset + length` values.
    unsafe {
        let values = (*child.buffers.add(1)).cast::<f32>();
        if values.is_null() || !values.is_aligned() {
            return Err("returned values as a null or unaligned pointer".to_owned());
        }
        Ok(slice::from_raw_parts(values.add(offset + skipped), needed))
    }
}

/// # Safety
///
/// `children` is null or holds `count` pointers that are null or live.
unsafe fn only_child<'a, T>(
    count: i64,
    children: *mut *mut T,
    what: &str,
) -> Result<&'a T, String> {
    if count != 1 || children.is_null() {
        return Err(format!("returned {what} with {count} children, not one"));
    }
    // SAFETY: the caller's promise.
    unsafe { (*children).as_ref() }.ok_or_else(|| format!("returned {what} with a null child"))
}

/// # Safety
///
/// `format` is null or ends with NUL.
unsafe fn read_format<'a>(format: *const c_char, what: &str) -> Result<&'a str, String> {
    if format.is_null() {
        return Err(format!("returned {what} without a type"));
    }
    // SAFETY: not null; the rest is the caller's promise.
    unsafe { CStr::from_ptr(format) }
        .to_str()
        .map_err(|_| format!("returned {what} with a type that is not UTF-8"))
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
