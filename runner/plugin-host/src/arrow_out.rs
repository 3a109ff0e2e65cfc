//! Arrow arrays over memory the host keeps: a plugin may read them during a call, not longer.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr;

use engine::classifier::Texts;
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

/// The struct array of `prepare` with its one child, `text`.
pub(crate) struct BorrowedTexts<'a> {
    // Parents first, so that they go before what they point to.
    schema: ArrowSchema,
    array: ArrowArray,
    _schema_children: Box<[*mut ArrowSchema; 1]>,
    _array_children: Box<[*mut ArrowArray; 1]>,
    _child_schema: Box<ArrowSchema>,
    _child_array: Box<ArrowArray>,
    _buffers: Box<[*const c_void; 1]>,
    _child_buffers: Box<[*const c_void; 3]>,
    _texts: PhantomData<&'a Texts>,
}

impl<'a> BorrowedTexts<'a> {
    pub fn new(texts: &'a Texts) -> BorrowedTexts<'a> {
        let mut child_buffers = Box::new([
            ptr::null(),
            texts.offsets().as_ptr().cast::<c_void>(),
            texts.bytes().as_ptr().cast::<c_void>(),
        ]);
        let mut buffers = Box::new([ptr::null()]);
        let mut child_schema = Box::new(ArrowSchema {
            format: c"U".as_ptr(),
            name: c"text".as_ptr(),
            release: Some(release_schema),
            ..ArrowSchema::empty()
        });
        let mut child_array = Box::new(ArrowArray {
            length: texts.len() as i64,
            n_buffers: 3,
            buffers: child_buffers.as_mut_ptr(),
            release: Some(release_array),
            ..ArrowArray::empty()
        });
        let mut schema_children = Box::new([&raw mut *child_schema]);
        let mut array_children = Box::new([&raw mut *child_array]);
        let schema = ArrowSchema {
            format: c"+s".as_ptr(),
            name: c"".as_ptr(),
            n_children: 1,
            children: schema_children.as_mut_ptr(),
            release: Some(release_schema),
            ..ArrowSchema::empty()
        };
        let array = ArrowArray {
            length: texts.len() as i64,
            n_buffers: 1,
            n_children: 1,
            buffers: buffers.as_mut_ptr(),
            children: array_children.as_mut_ptr(),
            release: Some(release_array),
            ..ArrowArray::empty()
        };
        BorrowedTexts {
            schema,
            array,
            _schema_children: schema_children,
            _array_children: array_children,
            _child_schema: child_schema,
            _child_array: child_array,
            _buffers: buffers,
            _child_buffers: child_buffers,
            _texts: PhantomData,
        }
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
