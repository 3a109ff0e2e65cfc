//! A column as bytes: the same bytes for the same content, whatever its chunks, offsets, bytes under
//! nulls or string encoding. So their digest is the digest of the column's content, and a file of
//! them is the column. Knows nothing of files.
//!
//! | part | bytes |
//! | --- | --- |
//! | type | its name, after the length of that |
//! | rows, nulls | 8 each |
//! | validity | 1 for a value, 0 for a null, one byte a row; absent where no row is null |
//! | values | little endian, a null is 0 |
//!
//! Strings are a 0, the length of each in 4 bytes, and all of them; or, where few differ, a 1, the
//! number of different ones in 4 bytes, these in the order of their first appearance in the same
//! form, and for each row the number of its string in 1 or 2 bytes. Numbers take 8 bytes where
//! nothing else is said.

use polars::prelude::*;

mod write;

pub(super) use write::encode;

/// Why bytes are no column.
#[derive(Debug, thiserror::Error)]
#[error("no column: {0}")]
pub struct Malformed(&'static str);

/// The types that have bytes of their own.
fn types() -> [(&'static str, DataType); 19] {
    let time = |unit| DataType::Datetime(unit, None);
    [
        ("str", DataType::String),
        ("bool", DataType::Boolean),
        ("i8", DataType::Int8),
        ("i16", DataType::Int16),
        ("i32", DataType::Int32),
        ("i64", DataType::Int64),
        ("u8", DataType::UInt8),
        ("u16", DataType::UInt16),
        ("u32", DataType::UInt32),
        ("u64", DataType::UInt64),
        ("f32", DataType::Float32),
        ("f64", DataType::Float64),
        ("date", DataType::Date),
        ("datetime[ms]", time(TimeUnit::Milliseconds)),
        ("datetime[us]", time(TimeUnit::Microseconds)),
        ("datetime[ns]", time(TimeUnit::Nanoseconds)),
        ("duration[ms]", DataType::Duration(TimeUnit::Milliseconds)),
        ("duration[us]", DataType::Duration(TimeUnit::Microseconds)),
        ("duration[ns]", DataType::Duration(TimeUnit::Nanoseconds)),
    ]
}

/// The name of a type here; `None` for one that has no bytes of its own.
pub(super) fn type_name(dtype: &DataType) -> Option<&'static str> {
    types().iter().find(|(_, known)| known == dtype).map(|(name, _)| *name)
}

/// A number of a fixed width.
trait Plain: Copy + Default {
    const WIDTH: usize;
    /// `bytes` are `WIDTH` long, here and below.
    fn put(self, bytes: &mut [u8]);
    fn get(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        impl Plain for $number {
            const WIDTH: usize = size_of::<$number>();
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            fn get(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$number>()];
                own.copy_from_slice(bytes);
                <$number>::from_le_bytes(own)
            }
        }
    )*};
}
plain!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<usize, Malformed> {
        usize::try_from(u64::get(self.take(8)?)).map_err(|_| Malformed("a length is too large"))
    }

    /// `count` things of `width` bytes each.
    fn many(&mut self, count: usize, width: usize) -> Result<&'a [u8], Malformed> {
        self.take(count.checked_mul(width).ok_or(Malformed("a length is too large"))?)
    }

    fn texts(&mut self, count: usize) -> Result<Texts<'a>, Malformed> {
        let lengths = self.many(count, 4)?;
        let mut ends = Vec::with_capacity(count);
        let mut end = 0usize;
        for length in lengths.chunks_exact(4) {
            end += u32::get(length) as usize;
            ends.push(end);
        }
        let text = std::str::from_utf8(self.take(end)?).map_err(|_| Malformed("it is no UTF-8"))?;
        Ok(Texts { text, ends })
    }
}

/// Texts one after the other.
struct Texts<'a> {
    text: &'a str,
    ends: Vec<usize>,
}

impl<'a> Texts<'a> {
    fn get(&self, n: usize) -> Result<&'a str, Malformed> {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        self.text.get(start..self.ends[n]).ok_or(Malformed("a text ends within a character"))
    }
}

/// The rows that are wanted of a column.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    All,
    /// These, in this order, each below the number of rows.
    These(&'a [IdxSize]),
}

impl Rows<'_> {
    fn count(self, all: usize) -> usize {
        match self {
            Rows::All => all,
            Rows::These(rows) => rows.len(),
        }
    }

    /// Numbers of the rows, if each of them is there.
    fn iter(self, all: usize) -> Result<impl Iterator<Item = usize> + Clone, Malformed> {
        let rows = match self {
            Rows::All => &[],
            Rows::These(rows) => rows,
        };
        if rows.iter().any(|row| *row as usize >= all) {
            return Err(Malformed("it is too short"));
        }
        let every = if matches!(self, Rows::All) { 0..all } else { 0..0 };
        Ok(every.chain(rows.iter().map(|row| *row as usize)))
    }
}

/// What the bytes of a column begin with.
pub(super) struct Head {
    pub dtype: DataType,
    pub rows: usize,
    pub nulls: usize,
    /// Bytes up to here.
    pub length: u64,
}

/// As many bytes of a column as are enough for its head: three lengths and the name of a type.
pub(super) const HEAD: usize = 64;

pub(super) const CUT_SHORT: Malformed = Malformed("it is cut short");

/// Reads the head of a column from its first bytes.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Malformed> {
    let mut rest = Rest(bytes);
    let length = rest.number()?;
    let type_name = rest.take(length)?;
    let types = types();
    let known = types.iter().find(|(name, _)| name.as_bytes() == type_name);
    let (_, dtype) = known.ok_or(Malformed("its type is unknown"))?;
    let (rows, nulls) = (rest.number()?, rest.number()?);
    let length = (bytes.len() - rest.0.len()) as u64;
    Ok(Head { dtype: dtype.clone(), rows, nulls, length })
}

/// The column that has these bytes, or the wanted rows of it.
pub(super) fn decode(name: &str, bytes: &[u8], rows: Rows<'_>) -> Result<Column, Malformed> {
    let Head { dtype, rows: height, nulls, length } = head(bytes)?;
    let mut rest = Rest(bytes);
    rest.take(length as usize)?;
    let validity = if nulls > 0 { Some(rest.take(height)?) } else { None };
    let part = Part { name: name.into(), height, validity, rows };
    let series = match dtype {
        DataType::String => part.strings(&mut rest)?.into_series(),
        DataType::Boolean => {
            let values = rest.take(height)?;
            let value = |row: usize| part.is_valid(row).then(|| values[row] != 0);
            let values = part.rows.iter(height)?.map(value);
            BooleanChunked::from_iter_options(part.name.clone(), values).into_series()
        }
        DataType::Int8 => part.numbers::<Int8Type>(&mut rest)?,
        DataType::Int16 => part.numbers::<Int16Type>(&mut rest)?,
        DataType::Int32 | DataType::Date => part.numbers::<Int32Type>(&mut rest)?,
        DataType::UInt8 => part.numbers::<UInt8Type>(&mut rest)?,
        DataType::UInt16 => part.numbers::<UInt16Type>(&mut rest)?,
        DataType::UInt32 => part.numbers::<UInt32Type>(&mut rest)?,
        DataType::UInt64 => part.numbers::<UInt64Type>(&mut rest)?,
        DataType::Float32 => part.numbers::<Float32Type>(&mut rest)?,
        DataType::Float64 => part.numbers::<Float64Type>(&mut rest)?,
        _ => part.numbers::<Int64Type>(&mut rest)?,
    };
    if !rest.0.is_empty() {
        return Err(Malformed("something follows it"));
    }
    // A date is a number of days, and so on: the same values under another type.
    let series = if series.dtype() == &dtype { Ok(series) } else { series.cast(&dtype) };
    Ok(series.map_err(|_| Malformed("its values are not of its type"))?.into_column())
}

/// What is wanted of a column.
struct Part<'a> {
    name: PlSmallStr,
    height: usize,
    validity: Option<&'a [u8]>,
    rows: Rows<'a>,
}

impl Part<'_> {
    fn is_valid(&self, row: usize) -> bool {
        self.validity.is_none_or(|validity| validity[row] != 0)
    }

    fn numbers<T>(&self, rest: &mut Rest<'_>) -> Result<Series, Malformed>
    where
        T: PolarsNumericType,
        T::Native: Plain,
        ChunkedArray<T>: IntoSeries,
    {
        let width = T::Native::WIDTH;
        let bytes = rest.many(self.height, width)?;
        let value = |row: usize| T::Native::get(&bytes[row * width..(row + 1) * width]);
        let rows = self.rows.iter(self.height)?;
        let array = match (self.validity, self.rows) {
            (None, Rows::All) => {
                let values = bytes.chunks_exact(width).map(T::Native::get).collect();
                ChunkedArray::<T>::from_vec(self.name.clone(), values)
            }
            (None, Rows::These(_)) => {
                ChunkedArray::<T>::from_vec(self.name.clone(), rows.map(value).collect())
            }
            (Some(_), _) => {
                let values = rows.map(|row| self.is_valid(row).then(|| value(row)));
                ChunkedArray::<T>::from_iter_options(self.name.clone(), values)
            }
        };
        Ok(array.into_series())
    }

    fn strings(&self, rest: &mut Rest<'_>) -> Result<StringChunked, Malformed> {
        let few = rest.take(1)?[0] != 0;
        if few {
            return self.few_strings(rest);
        }
        let texts = rest.texts(self.height)?;
        let count = self.rows.count(self.height);
        let mut strings = StringChunkedBuilder::new(self.name.clone(), count);
        for row in self.rows.iter(self.height)? {
            match self.is_valid(row) {
                true => strings.append_value(texts.get(row)?),
                false => strings.append_null(),
            }
        }
        Ok(strings.finish())
    }

    /// Each different string is in memory once.
    fn few_strings(&self, rest: &mut Rest<'_>) -> Result<StringChunked, Malformed> {
        let count = u32::get(rest.take(4)?) as usize;
        let texts = rest.texts(count)?;
        let mut different = StringChunkedBuilder::new(self.name.clone(), count);
        for n in 0..count {
            different.append_value(texts.get(n)?);
        }
        let width = if count <= 1 << 8 { 1 } else { 2 };
        let numbers = rest.many(self.height, width)?;
        let number = |row: usize| match width {
            1 => IdxSize::from(numbers[row]),
            _ => IdxSize::from(u16::get(&numbers[2 * row..2 * row + 2])),
        };
        let rows = self.rows.iter(self.height)?;
        let places: IdxCa = match self.validity {
            None => IdxCa::from_vec(PlSmallStr::EMPTY, rows.map(number).collect()),
            Some(_) => {
                let place = |row: usize| self.is_valid(row).then(|| number(row));
                IdxCa::from_iter_options(PlSmallStr::EMPTY, rows.map(place))
            }
        };
        let taken = different.finish().take(&places);
        taken.map_err(|_| Malformed("it names a text that it does not have"))
    }
}

/// Where a column is in memory. Two columns with the same place have the same content while both
/// are there: what is shared is never written to.
///
/// `None` for a type that has no bytes here.
pub(super) fn place(series: &Series) -> Option<Vec<usize>> {
    let types = types();
    let dtype = types.iter().position(|(_, known)| known == series.dtype())?;
    let physical = series.to_physical_repr();
    let mut place = vec![dtype];
    macro_rules! bits {
        ($bits:expr) => {{
            let (bytes, offset, length) = $bits.as_slice();
            [bytes.as_ptr() as usize, offset, length]
        }};
    }
    macro_rules! chunks {
        ($array:expr, $chunk:ident => $values:expr) => {{
            let array = $array.ok()?;
            for ($chunk, any) in array.downcast_iter().zip(array.chunks()) {
                place.extend($values);
                place.push(any.len());
                place.extend(any.validity().map_or([0; 3], |validity| bits!(validity)));
            }
        }};
    }
    macro_rules! numbers {
        ($array:expr) => {
            chunks!($array, chunk => [chunk.values().as_slice().as_ptr() as usize])
        };
    }
    match physical.dtype() {
        DataType::String => chunks!(physical.str(), chunk => [
            chunk.views().as_slice().as_ptr() as usize,
            chunk.data_buffers().as_slice().as_ptr() as usize,
        ]),
        DataType::Boolean => chunks!(physical.bool(), chunk => bits!(chunk.values())),
        DataType::Int8 => numbers!(physical.i8()),
        DataType::Int16 => numbers!(physical.i16()),
        DataType::Int32 => numbers!(physical.i32()),
        DataType::Int64 => numbers!(physical.i64()),
        DataType::UInt8 => numbers!(physical.u8()),
        DataType::UInt16 => numbers!(physical.u16()),
        DataType::UInt32 => numbers!(physical.u32()),
        DataType::UInt64 => numbers!(physical.u64()),
        DataType::Float32 => numbers!(physical.f32()),
        _ => numbers!(physical.f64()),
    }
    Some(place)
}

#[cfg(test)]
mod tests;
