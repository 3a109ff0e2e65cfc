//! Reads the Arrow arrays a host passes, checked before anything is touched.
//! Borrowed for the length of a call; nothing here frees them.

use std::ffi::{CStr, c_char};
use std::slice;

use plugin_abi::{ArrowArray, ArrowSchema};

use crate::error::Error;

/// The texts of a corpus, borrowed for the call of `prepare`.
#[derive(Debug, Clone)]
pub struct Texts<'a> {
    /// One entry more than there are texts, never falling, each on a character boundary.
    offsets: &'a [i64],
    text: &'a str,
    columns: Vec<Column<'a>>,
}

/// A column beside the text, for plugins with the capability `columns`.
#[derive(Debug, Clone)]
pub struct Column<'a> {
    pub name: &'a str,
    pub values: ColumnValues<'a>,
}

/// One value a text.
#[derive(Debug, Clone)]
pub enum ColumnValues<'a> {
    /// NaN where there is none.
    Numbers(&'a [f64]),
    /// Empty where there is none.
    Words(Texts<'a>),
}

impl<'a> Texts<'a> {
    /// Makes texts for tests: text `i` is `text[offsets[i]..offsets[i + 1]]`.
    pub fn new(offsets: &'a [i64], text: &'a str) -> Result<Texts<'a>, Error> {
        if offsets.is_empty() {
            return Err(Error::invalid("texts have no offsets"));
        }
        let mut before = 0;
        for &offset in offsets {
            let inside = usize::try_from(offset).is_ok_and(|at| text.is_char_boundary(at));
            if offset < before || !inside {
                return Err(Error::invalid("text offsets fall, or lie outside the text"));
            }
            before = offset;
        }
        Ok(Texts { offsets, text, columns: Vec::new() })
    }

    /// Adds columns, for tests; each has one value a text.
    pub fn with_columns(mut self, columns: Vec<Column<'a>>) -> Result<Texts<'a>, Error> {
        for column in &columns {
            let length = match &column.values {
                ColumnValues::Numbers(numbers) => numbers.len(),
                ColumnValues::Words(words) => words.len(),
            };
            if length != self.len() {
                let name = column.name;
                return Err(Error::invalid(format!("column `{name}` has not one value a text")));
            }
        }
        self.columns = columns;
        Ok(self)
    }

    /// What the pipeline gives beside the text, in its order.
    pub fn columns(&self) -> &[Column<'a>] {
        &self.columns
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, row: usize) -> &'a str {
        &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a str> + '_ {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Returns the bytes of all texts before `row`, to split work by size.
    pub fn bytes_before(&self, row: usize) -> usize {
        (self.offsets[row] - self.offsets[0]) as usize
    }
}

/// Reads the struct array that `prepare` gets: its child `text` and the further columns.
///
/// # Safety
///
/// Both pointers are null or point to live Arrow structs that stay valid for `'a`.
pub(crate) unsafe fn read_texts<'a>(
    schema: *const ArrowSchema,
    columns: *const ArrowArray,
) -> Result<Texts<'a>, Error> {
    // SAFETY: the caller promises null or live structs.
    let (schema, columns) = unsafe { (schema.as_ref(), columns.as_ref()) };
    let (Some(schema), Some(columns)) = (schema, columns) else {
        return Err(Error::invalid("the columns are a null pointer"));
    };
    // SAFETY: the strings of a live schema are null or end with NUL.
    if unsafe { c_str(schema.format) } != Some(c"+s") {
        return Err(Error::invalid("the columns are not a struct array"));
    }
    if schema.n_children != columns.n_children || columns.offset != 0 || columns.null_count > 0 {
        return Err(Error::invalid("the struct array has an offset, nulls or other children"));
    }
    let count = usize::try_from(columns.n_children).unwrap_or(0);
    if count == 0 || schema.children.is_null() || columns.children.is_null() {
        return Err(Error::invalid("the columns have no children"));
    }
    let mut text = None;
    let mut further = Vec::new();
    for child in 0..count {
        // SAFETY: a live struct array has `n_children` pointers to live children, or null ones.
        let (schema, array) = unsafe {
            ((*schema.children.add(child)).as_ref(), (*columns.children.add(child)).as_ref())
        };
        let (Some(schema), Some(array)) = (schema, array) else {
            return Err(Error::invalid("a column is a null pointer"));
        };
        // SAFETY: as for the format above.
        let (name, format) = unsafe { (c_str(schema.name), c_str(schema.format)) };
        let Some(name) = name.and_then(|name| name.to_str().ok()) else { continue };
        if name == "text" {
            if format != Some(c"U") || array.length != columns.length {
                return Err(Error::invalid(
                    "column `text` is not large_utf8 of the array's length",
                ));
            }
            // SAFETY: the child is live for `'a`, and its format was just checked.
            text = Some(unsafe { read_large_utf8(array, name)? });
            continue;
        }
        // SAFETY: as for `text`.
        let values = unsafe {
            match format {
                Some(format) if format == c"g" => ColumnValues::Numbers(read_values(array, name)?),
                Some(format) if format == c"U" => {
                    ColumnValues::Words(read_large_utf8(array, name)?)
                }
                _ => continue,
            }
        };
        further.push(Column { name, values });
    }
    text.ok_or_else(|| Error::invalid("there is no column `text`"))?.with_columns(further)
}

/// # Safety
///
/// `array` is a live `large_utf8` array.
unsafe fn read_large_utf8<'a>(array: &ArrowArray, name: &str) -> Result<Texts<'a>, Error> {
    let (length, offset) = checked_extent(array, 3)?;
    if length == 0 {
        return Texts::new(&[0], "");
    }
    // SAFETY: `checked_extent` saw three buffers; the second holds `offset + length + 1` i64, as
    // the Arrow layout says.
    let (offsets, bytes) = unsafe {
        let offsets = (*array.buffers.add(1)).cast::<i64>();
        if offsets.is_null() || !offsets.is_aligned() {
            return Err(Error::invalid(format!("column `{name}` has no aligned offsets")));
        }
        (slice::from_raw_parts(offsets.add(offset), length + 1), *array.buffers.add(2))
    };
    let end = usize::try_from(offsets[length])
        .map_err(|_| Error::invalid(format!("column `{name}` has a negative offset")))?;
    if end > 0 && bytes.is_null() {
        return Err(Error::invalid(format!("column `{name}` has no bytes")));
    }
    let bytes: &'a [u8] = if end == 0 {
        &[]
    } else {
        // SAFETY: the third buffer holds at least as many bytes as the last offset says.
        unsafe { slice::from_raw_parts(bytes.cast::<u8>(), end) }
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::invalid(format!("column `{name}` is not UTF-8: {error}")))?;
    Texts::new(offsets, text)
}

/// Reads an array of numbers without nulls.
///
/// # Safety
///
/// `array` is null or points to a live primitive array of `T`'s width that stays valid for `'a`.
pub(crate) unsafe fn read_values<'a, T: Plain>(
    array: *const ArrowArray,
    what: &str,
) -> Result<&'a [T], Error> {
    // SAFETY: the caller promises null or a live array.
    let Some(array) = (unsafe { array.as_ref() }) else {
        return Err(Error::invalid(format!("the {what} are a null pointer")));
    };
    let (length, offset) = checked_extent(array, 2)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: `checked_extent` saw two buffers; the second holds `offset + length` values.
    unsafe {
        let values = (*array.buffers.add(1)).cast::<T>();
        if values.is_null() || !values.is_aligned() {
            return Err(Error::invalid(format!("the {what} have no aligned values")));
        }
        Ok(slice::from_raw_parts(values.add(offset), length))
    }
}

/// Types every bit pattern of their width is a value of.
pub(crate) trait Plain: Copy {}
impl Plain for u32 {}
impl Plain for f32 {}
impl Plain for f64 {}

fn checked_extent(array: &ArrowArray, buffers: i64) -> Result<(usize, usize), Error> {
    if array.null_count > 0 {
        return Err(Error::invalid("an array has nulls"));
    }
    let extent = (usize::try_from(array.length), usize::try_from(array.offset));
    let (Ok(length), Ok(offset)) = extent else {
        return Err(Error::invalid("an array has a negative length or offset"));
    };
    if length > 0 && (array.n_buffers != buffers || array.buffers.is_null()) {
        return Err(Error::invalid(format!("an array has not {buffers} buffers")));
    }
    Ok((length, offset))
}

/// # Safety
///
/// `text` is null or ends with NUL and stays valid for `'a`.
unsafe fn c_str<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    if text.is_null() { None } else { Some(unsafe { CStr::from_ptr(text) }) }
}
