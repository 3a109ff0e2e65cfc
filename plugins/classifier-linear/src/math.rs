//! The few float kernels: rows of class weights times a value, and softmax.
//! Plain lanes of eight without fused operations, so that any vector width gives the same bytes.

/// Classes are padded to a multiple of this.
pub(crate) const LANES: usize = 8;

/// Returns the padded number of classes.
pub(crate) fn padded(classes: usize) -> usize {
    classes.next_multiple_of(LANES)
}

/// `out += value * row`, both a multiple of [`LANES`] long.
#[inline]
pub(crate) fn add_scaled(out: &mut [f32], row: &[f32], value: f32) {
    let (out, _) = out.as_chunks_mut::<LANES>();
    let (row, _) = row.as_chunks::<LANES>();
    for (out, row) in out.iter_mut().zip(row) {
        for lane in 0..LANES {
            out[lane] += value * row[lane];
        }
    }
}

/// Turns logits into probabilities. What lies behind `classes` is padding and becomes 0.
#[inline]
pub(crate) fn softmax(logits: &mut [f32], classes: usize) {
    let (used, padding) = logits.split_at_mut(classes);
    let most = used.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for logit in used.iter_mut() {
        *logit = exp(*logit - most);
    }
    let sum: f32 = used.iter().sum();
    let scale = 1.0 / sum;
    for value in used.iter_mut() {
        *value *= scale;
    }
    padding.fill(0.0);
}

/// e to the power of `x` for `x` at most 0, good to three units in the last place.
///
/// The C library's `expf` differs between systems; this one gives the same bytes everywhere and
/// runs in vector lanes.
#[inline]
pub(crate) fn exp(x: f32) -> f32 {
    // Below this the result is 0 for a probability.
    let x = x.max(-87.0);
    // Adding and taking away 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let whole = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    // ln 2 in two parts, so that the difference keeps its low bits.
    let rest = (x - whole * 0.693_359_4) - whole * -2.121_944_4e-4;
    let mut value = 1.987_569_1e-4;
    value = value * rest + 1.398_2e-3;
    value = value * rest + 8.333_452e-3;
    value = value * rest + 4.166_579_6e-2;
    value = value * rest + 1.666_666_5e-1;
    value = value * rest + 5e-1;
    value = value * rest * rest + rest + 1.0;
    value * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for step in 0..=8700 {
            let x = -(step as f32) / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 5e-7, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut logits = [1.0, 1000.0, -1000.0, 1.0, 7.0, 7.0, 7.0, 7.0];
        softmax(&mut logits, 3);
        assert_eq!(logits[1], 1.0);
        assert_eq!(logits[3..], [0.0; 5]);
    }
}
