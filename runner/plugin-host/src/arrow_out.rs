//! Arrow arrays over memory the host keeps: a plugin may read them during a call, not longer.

use std::ffi::{CStr, CString, NulError, c_void};
use std::marker::PhantomData;
use std::ptr;

use engine::classifier::{FurtherValues, Texts};
use plugin_abi::{ArrowArray, ArrowSchema};

/// Types of four bytes that cross as `I` or `f`.
pub(crate) trait FourBytes {}
impl FourBytes for u32 {}
impl FourBytes for f32 {}

/// A primitive array over a borrowed slice.
pub(crate) struct BorrowedValues<'a> {
    array: ArrowArray,
    _buffers: Box<[*const c_void; 2]>,
    _values: PhantomData<&'a ()>,
}

impl<'a> BorrowedValues<'a> {
    pub fn new<T: FourBytes>(values: &'a [T]) -> BorrowedValues<'a> {
        let mut buffers = Box::new([ptr::null(), values.as_ptr().cast::<c_void>()]);
        let array = ArrowArray {
            length: values.len() as i64,
            n_buffers: 2,
            buffers: buffers.as_mut_ptr(),
            release: Some(release_array),
            ..ArrowArray::empty()
        };
        BorrowedValues { array, _buffers: buffers, _values: PhantomData }
    }

    pub fn as_ptr(&self) -> *const ArrowArray {
        &self.array
    }
}

/// The struct array of `prepare`: its child `text`, then the further columns.
pub(crate) struct BorrowedTexts<'a> {
    // Parents first, so that they go before what they point to.
    schema: ArrowSchema,
    array: ArrowArray,
    _schema_children: Box<[*mut ArrowSchema]>,
    _array_children: Box<[*mut ArrowArray]>,
    /// Never grows: the arrays point into it.
    _children: Vec<Child>,
    _buffers: Box<[*const c_void; 1]>,
    _texts: PhantomData<&'a Texts>,
}

/// A column; its array points to `buffers` once it has its place.
struct Child {
    schema: ArrowSchema,
    array: ArrowArray,
    buffers: [*const c_void; 3],
    name: CString,
}

impl Child {
    /// The caller keeps what `buffers` point to.
    fn new(
        name: &str,
        format: &'static CStr,
        length: usize,
        buffers: [*const c_void; 3],
        n_buffers: i64,
    ) -> Result<Child, NulError> {
        let mut child = Child {
            schema: ArrowSchema {
                format: format.as_ptr(),
                release: Some(release_schema),
                ..ArrowSchema::empty()
            },
            array: ArrowArray {
                length: length as i64,
                n_buffers,
                release: Some(release_array),
                ..ArrowArray::empty()
            },
            buffers,
            name: CString::new(name)?,
        };
        child.schema.name = child.name.as_ptr();
        Ok(child)
    }

    fn of_texts(name: &str, texts: &Texts) -> Result<Child, NulError> {
        let offsets = texts.offsets().as_ptr().cast();
        let buffers = [ptr::null(), offsets, texts.bytes().as_ptr().cast()];
        Child::new(name, c"U", texts.len(), buffers, 3)
    }

    fn of_numbers(name: &str, numbers: &[f64]) -> Result<Child, NulError> {
        let buffers = [ptr::null(), numbers.as_ptr().cast(), ptr::null()];
        Child::new(name, c"g", numbers.len(), buffers, 2)
    }
}

impl<'a> BorrowedTexts<'a> {
    /// Fails if a column's name holds a NUL.
    pub fn new(texts: &'a Texts) -> Result<BorrowedTexts<'a>, NulError> {
        let mut children = vec![Child::of_texts("text", texts)?];
        for column in texts.columns() {
            children.push(match &column.values {
                FurtherValues::Numbers(numbers) => Child::of_numbers(&column.name, numbers)?,
                FurtherValues::Words(words) => Child::of_texts(&column.name, words)?,
            });
        }
        for child in &mut children {
            child.array.buffers = child.buffers.as_mut_ptr();
        }
        let mut schema_children: Box<[_]> =
            children.iter_mut().map(|child| &raw mut child.schema).collect();
        let mut array_children: Box<[_]> =
            children.iter_mut().map(|child| &raw mut child.array).collect();
        let mut buffers = Box::new([ptr::null()]);
        let schema = ArrowSchema {
            format: c"+s".as_ptr(),
            name: c"".as_ptr(),
            n_children: children.len() as i64,
            children: schema_children.as_mut_ptr(),
            release: Some(release_schema),
            ..ArrowSchema::empty()
        };
        let array = ArrowArray {
            length: texts.len() as i64,
            n_buffers: 1,
            n_children: children.len() as i64,
            buffers: buffers.as_mut_ptr(),
            children: array_children.as_mut_ptr(),
            release: Some(release_array),
            ..ArrowArray::empty()
        };
        Ok(BorrowedTexts {
            schema,
            array,
            _schema_children: schema_children,
            _array_children: array_children,
            _children: children,
            _buffers: buffers,
            _texts: PhantomData,
        })
    }

    pub fn schema(&self) -> *const ArrowSchema {
        &self.schema
    }

    pub fn array(&self) -> *const ArrowArray {
        &self.array
    }
}

/// Nothing to free: the memory belongs to Rust values of the host.
unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: the holder passes its own live struct.
    unsafe { (*schema).release = None }
}

/// As for a schema.
unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: the holder passes its own live struct.
    unsafe { (*array).release = None }
}
