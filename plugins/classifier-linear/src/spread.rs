//! Adds a change of class weights to the rows of a text's features: what training does besides the
//! kernels of `plugin_sdk::math`. Lanes in a fixed order, so that any vector width gives the same
//! bytes.

use plugin_sdk::math::Lanes;

/// Adds `change`, times the value of each of `entries`, to its row. At most eight lanes.
#[inline(always)]
pub(crate) fn spread_row(weights: &mut [Lanes], entries: &[(u32, f32)], change: &[Lanes]) {
    match change.len() {
        1 => spread_block::<1>(weights, entries, change),
        2 => spread_block::<2>(weights, entries, change),
        3 => spread_block::<3>(weights, entries, change),
        4 => spread_block::<4>(weights, entries, change),
        5 => spread_block::<5>(weights, entries, change),
        6 => spread_block::<6>(weights, entries, change),
        7 => spread_block::<7>(weights, entries, change),
        _ => spread_block::<8>(weights, entries, change),
    }
}

#[inline(always)]
fn spread_block<const N: usize>(weights: &mut [Lanes], entries: &[(u32, f32)], change: &[Lanes]) {
    let change: [Lanes; N] = change.try_into().expect("the change is N lanes long");
    for &(number, value) in entries {
        let row = &mut weights[number as usize * N..][..N];
        for (row, change) in row.iter_mut().zip(&change) {
            *row = row.plus(change.scale(value));
        }
    }
}

/// The same for one of `width` lanes.
#[inline(always)]
pub(crate) fn spread_lanes(
    weights: &mut [Lanes],
    entries: &[(u32, f32)],
    change: Lanes,
    width: usize,
    lanes: usize,
) {
    for &(number, value) in entries {
        let weight = &mut weights[number as usize * width + lanes];
        *weight = weight.plus(change.scale(value));
    }
}
