//! Makes the Arrow array of scores a plugin returns: a fixed-size list of float32.

use std::ffi::{CString, c_void};
use std::ptr;

use plugin_abi::{ArrowArray, ArrowSchema};

/// Everything an exported schema points to; freed by its release.
struct SchemaParts {
    format: CString,
    child: ArrowSchema,
    children: [*mut ArrowSchema; 1],
}

/// Everything an exported array points to; freed by its release.
struct ArrayParts {
    scores: Vec<f32>,
    list_buffers: [*const c_void; 1],
    value_buffers: [*const c_void; 2],
    child: ArrowArray,
    children: [*mut ArrowArray; 1],
}

/// Moves row-major scores into a list array; `scores` is a whole number of rows.
pub(crate) fn export_scores(scores: Vec<f32>, class_count: usize) -> (ArrowSchema, ArrowArray) {
    assert!(class_count > 0 && scores.len().is_multiple_of(class_count), "whole rows");
    let rows = scores.len() / class_count;
    (export_schema(class_count), export_array(scores, rows))
}

fn export_schema(class_count: usize) -> ArrowSchema {
    let format = CString::new(format!("+w:{class_count}")).expect("digits hold no NUL");
    let child = ArrowSchema {
        format: c"f".as_ptr(),
        name: c"item".as_ptr(),
        release: Some(release_child_schema),
        ..ArrowSchema::empty()
    };
    let parts = Box::into_raw(Box::new(SchemaParts { format, child, children: [ptr::null_mut()] }));
    // SAFETY: `parts` was just made and is not shared; its address is stable until the release.
    unsafe {
        (*parts).children[0] = &raw mut (*parts).child;
        ArrowSchema {
            format: (*parts).format.as_ptr(),
            name: c"scores".as_ptr(),
            n_children: 1,
            children: (&raw mut (*parts).children).cast(),
            release: Some(release_schema),
            private_data: parts.cast(),
            ..ArrowSchema::empty()
        }
    }
}

fn export_array(scores: Vec<f32>, rows: usize) -> ArrowArray {
    let values = scores.len();
    let data = scores.as_ptr().cast::<c_void>();
    let parts = Box::into_raw(Box::new(ArrayParts {
        scores,
        list_buffers: [ptr::null()],
        value_buffers: [ptr::null(), data],
        child: ArrowArray::empty(),
        children: [ptr::null_mut()],
    }));
    // SAFETY: as in `export_schema`; moving the `Vec` did not move its values.
    unsafe {
        (*parts).child = ArrowArray {
            length: values as i64,
            n_buffers: 2,
            buffers: (&raw mut (*parts).value_buffers).cast(),
            release: Some(release_child_array),
            ..ArrowArray::empty()
        };
        (*parts).children[0] = &raw mut (*parts).child;
        ArrowArray {
            length: rows as i64,
            n_buffers: 1,
            n_children: 1,
            buffers: (&raw mut (*parts).list_buffers).cast(),
            children: (&raw mut (*parts).children).cast(),
            release: Some(release_array),
            private_data: parts.cast(),
            ..ArrowArray::empty()
        }
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: the holder passes its own live struct, whose private data is our `SchemaParts`.
    unsafe {
        (*schema).release = None;
        drop(Box::from_raw((*schema).private_data.cast::<SchemaParts>()));
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: the holder passes its own live struct, whose private data is our `ArrayParts`.
    unsafe {
        (*array).release = None;
        let mut parts = Box::from_raw((*array).private_data.cast::<ArrayParts>());
        parts.scores.clear();
    }
}

/// A child owns nothing; its memory goes with the parent's.
unsafe extern "C" fn release_child_schema(schema: *mut ArrowSchema) {
    // SAFETY: the holder passes a live struct.
    unsafe { (*schema).release = None }
}

/// As for a child schema.
unsafe extern "C" fn release_child_array(array: *mut ArrowArray) {
    // SAFETY: the holder passes a live struct.
    unsafe { (*array).release = None }
}
