//! Columns to bytes. Strings are told apart by their views, which say more quickly than their bytes
//! that two are the same.

use std::io::{self, Write};

use polars::polars_utils::aliases::{InitHashMaps, PlHashMap};
use polars::prelude::*;

use super::{Plain, type_name};

/// Bytes that are put together before they are written and digested.
const BLOCK: usize = 1 << 16;
/// Strings that a column of few different ones may have.
const MOST_DIFFERENT: usize = 1 << 16;
/// How often a string has to come on the mean, so that numbers for them are worth it.
const LEAST_REPEATS: usize = 4;
/// Views that are remembered with the numbers of their strings; a power of two.
const REMEMBERED: usize = 1 << 10;

/// Writes a column of a type that has a name here; any other is an error.
pub(in crate::frame) fn encode(series: &Series, out: &mut dyn Write) -> io::Result<()> {
    let name = type_name(series.dtype())
        .ok_or_else(|| io::Error::other(format!("type {} has no bytes", series.dtype())))?;
    put_numbers(&[name.len() as u64], out)?;
    out.write_all(name.as_bytes())?;
    put_numbers(&[series.len() as u64, series.null_count() as u64], out)?;
    if series.null_count() > 0 {
        put_flags(series.is_not_null().iter(), out)?;
    }
    let physical = series.to_physical_repr();
    match physical.dtype() {
        DataType::String => put_strings(physical.str().map_err(io::Error::other)?, out),
        DataType::Boolean => put_flags(physical.bool().map_err(io::Error::other)?.iter(), out),
        DataType::Int8 => put_array(physical.i8().map_err(io::Error::other)?, out),
        DataType::Int16 => put_array(physical.i16().map_err(io::Error::other)?, out),
        DataType::Int32 => put_array(physical.i32().map_err(io::Error::other)?, out),
        DataType::Int64 => put_array(physical.i64().map_err(io::Error::other)?, out),
        DataType::UInt8 => put_array(physical.u8().map_err(io::Error::other)?, out),
        DataType::UInt16 => put_array(physical.u16().map_err(io::Error::other)?, out),
        DataType::UInt32 => put_array(physical.u32().map_err(io::Error::other)?, out),
        DataType::UInt64 => put_array(physical.u64().map_err(io::Error::other)?, out),
        DataType::Float32 => put_array(physical.f32().map_err(io::Error::other)?, out),
        _ => put_array(physical.f64().map_err(io::Error::other)?, out),
    }
}

/// A byte for each, 1 for `true`.
fn put_flags(flags: impl Iterator<Item = Option<bool>>, out: &mut dyn Write) -> io::Result<()> {
    let bytes: Vec<u8> = flags.map(|flag| u8::from(flag == Some(true))).collect();
    out.write_all(&bytes)
}

fn put_numbers<T: Plain>(numbers: &[T], out: &mut dyn Write) -> io::Result<()> {
    let mut block = vec![0; BLOCK.min(numbers.len() * T::WIDTH)];
    for some in numbers.chunks(BLOCK / T::WIDTH) {
        let places = block.chunks_exact_mut(T::WIDTH);
        places.zip(some).for_each(|(place, number)| number.put(place));
        out.write_all(&block[..some.len() * T::WIDTH])?;
    }
    Ok(())
}

fn put_array<T>(array: &ChunkedArray<T>, out: &mut dyn Write) -> io::Result<()>
where
    T: PolarsNumericType,
    T::Native: Plain,
{
    for chunk in array.downcast_iter() {
        match chunk.validity() {
            None => put_numbers(chunk.values(), out)?,
            Some(_) => {
                let or_zero = |value: Option<&T::Native>| value.copied().unwrap_or_default();
                put_numbers(&chunk.iter().map(or_zero).collect::<Vec<_>>(), out)?;
            }
        }
    }
    Ok(())
}

fn put_strings(strings: &StringChunked, out: &mut dyn Write) -> io::Result<()> {
    let Some((different, numbers)) = few_different(strings) else {
        out.write_all(&[0])?;
        return put_texts(strings.len(), || strings.iter().map(Option::unwrap_or_default), out);
    };
    out.write_all(&[1])?;
    put_numbers(&[different.len() as u32], out)?;
    put_texts(different.len(), || different.iter().copied(), out)?;
    match different.len() <= 1 << 8 {
        true => out.write_all(&numbers.iter().map(|number| *number as u8).collect::<Vec<u8>>()),
        false => put_numbers(&numbers, out),
    }
}

fn put_texts<'a, I: Iterator<Item = &'a str>>(
    count: usize,
    texts: impl Fn() -> I,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut lengths: Vec<u32> = Vec::with_capacity(count);
    lengths.extend(texts().map(|text| text.len() as u32));
    put_numbers(&lengths, out)?;
    drop(lengths);
    let mut block = Vec::with_capacity(BLOCK + 64);
    for text in texts() {
        block.extend_from_slice(text.as_bytes());
        if block.len() >= BLOCK {
            out.write_all(&block)?;
            block.clear();
        }
    }
    out.write_all(&block)
}

/// The different strings and the number of each row's, if there are few; a null counts as empty.
fn few_different(strings: &StringChunked) -> Option<(Vec<&str>, Vec<u16>)> {
    let most = MOST_DIFFERENT.min(strings.len() / LEAST_REPEATS);
    let mut known: PlHashMap<&str, u16> = PlHashMap::new();
    let mut different: Vec<&str> = Vec::new();
    let mut numbers: Vec<u16> = Vec::new();
    for (chunk, any) in strings.downcast_iter().zip(strings.chunks()) {
        let validity = any.validity();
        // Within a chunk the same view is the same string: it is there, or at the same place.
        let mut recent: Vec<Option<(u128, u16)>> = vec![None; REMEMBERED];
        for (row, view) in chunk.views().iter().enumerate() {
            let valid = validity.is_none_or(|validity| validity.get_bit(row));
            let view = if valid { view.as_u128() } else { 0 };
            let place = &mut recent[slot(view)];
            let number = match place {
                Some((same, number)) if *same == view => *number,
                _ => {
                    let text = if valid { chunk.value(row) } else { "" };
                    let number = match known.get(text) {
                        Some(number) => *number,
                        None if different.len() >= most => return None,
                        None => {
                            let number = different.len() as u16;
                            known.insert(text, number);
                            different.push(text);
                            number
                        }
                    };
                    *place = Some((view, number));
                    number
                }
            };
            numbers.push(number);
        }
    }
    (!different.is_empty()).then_some((different, numbers))
}

/// Where a view is remembered.
fn slot(view: u128) -> usize {
    const MIXER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mixed = ((view >> 64) as u64 ^ (view as u64).rotate_left(29)).wrapping_mul(MIXER);
    (mixed >> 32) as usize % REMEMBERED
}
