//! Reads the scores a library returns. Nothing is believed: type, shape and pointers are looked at
//! before a value is; the values themselves are the matter of `scores`.

use std::ffi::{CStr, c_char};
use std::slice;

use plugin_abi::{ArrowArray, ArrowSchema};

/// Gives the values of a plugin's array, `rows` times `classes` of them, row by row.
///
/// # Safety
///
/// Both structs were filled by a plugin that keeps the Arrow contract: pointers are null or live,
/// and buffers are as long as the lengths say.
pub(crate) unsafe fn score_values<'a>(
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
