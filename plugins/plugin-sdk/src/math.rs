//! The few float kernels of text models: lanes of classes, softmax, logarithm and exponential.
//!
//! Lanes of eight in a fixed order and without fused operations, so that any vector width gives the
//! same bytes; `exp` and `ln` are our own, since those of the C library differ between systems.
//! All are inlined into the kernels that [`crate::lanes`] runs. Knows nothing of texts or models.

/// Classes are padded to a multiple of this.
pub const LANES: usize = 8;

/// Eight classes; aligned so that no load crosses a cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(32))]
pub struct Lanes(pub [f32; LANES]);

pub const ZERO: Lanes = Lanes([0.0; LANES]);

/// Lanes kept in registers at once by the row kernels.
const BLOCK: usize = 8;

/// Returns the number of lanes that hold the classes.
pub fn lanes_for(classes: usize) -> usize {
    classes.div_ceil(LANES)
}

/// Returns 1 for the classes and 0 for the padding in the last lanes.
pub fn last_mask(classes: usize) -> Lanes {
    let used = (classes - 1) % LANES + 1;
    Lanes(std::array::from_fn(|lane| f32::from(u8::from(lane < used))))
}

impl Lanes {
    /// Joins two, lane by lane.
    #[inline(always)]
    pub fn map2(self, other: Lanes, join: impl Fn(f32, f32) -> f32) -> Lanes {
        let mut out = ZERO;
        for lane in 0..LANES {
            out.0[lane] = join(self.0[lane], other.0[lane]);
        }
        out
    }

    #[inline(always)]
    pub fn plus(self, other: Lanes) -> Lanes {
        self.map2(other, |a, b| a + b)
    }

    #[inline(always)]
    pub fn minus(self, other: Lanes) -> Lanes {
        self.map2(other, |a, b| a - b)
    }

    #[inline(always)]
    pub fn times(self, other: Lanes) -> Lanes {
        self.map2(other, |a, b| a * b)
    }

    #[inline(always)]
    pub fn scale(self, factor: f32) -> Lanes {
        self.map2(self, |a, _| a * factor)
    }

    #[inline(always)]
    pub fn max(self, other: Lanes) -> Lanes {
        self.map2(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    pub fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    pub fn largest(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        a.max(e).max(c.max(g)).max(b.max(f).max(d.max(h)))
    }

    #[inline(always)]
    pub fn absolute(self) -> Lanes {
        self.map2(self, |a, _| a.abs())
    }

    /// e to the power of each value; none may be above 0.
    #[inline(always)]
    pub fn exp(self) -> Lanes {
        self.map2(self, |a, _| exp(a))
    }

    /// The natural logarithm of each value; all must be positive and normal.
    #[inline(always)]
    pub fn ln(self) -> Lanes {
        self.map2(self, |a, _| ln_f32(a))
    }
}

/// Adds the rows of `entries`, each times its value, to `logits`.
#[inline(always)]
pub fn add_rows(weights: &[Lanes], entries: &[(u32, f32)], logits: &mut [Lanes]) {
    let width = logits.len();
    let mut start = 0;
    while start < width {
        let end = (start + BLOCK).min(width);
        let out = &mut logits[start..end];
        match out.len() {
            1 => add_block::<1>(weights, entries, out, width, start),
            2 => add_block::<2>(weights, entries, out, width, start),
            3 => add_block::<3>(weights, entries, out, width, start),
            4 => add_block::<4>(weights, entries, out, width, start),
            5 => add_block::<5>(weights, entries, out, width, start),
            6 => add_block::<6>(weights, entries, out, width, start),
            7 => add_block::<7>(weights, entries, out, width, start),
            _ => add_block::<8>(weights, entries, out, width, start),
        }
        start = end;
    }
}

#[inline(always)]
fn add_block<const N: usize>(
    weights: &[Lanes],
    entries: &[(u32, f32)],
    out: &mut [Lanes],
    width: usize,
    start: usize,
) {
    let out: &mut [Lanes; N] = out.try_into().expect("the block is N lanes long");
    let mut sums = *out;
    for &(number, value) in entries {
        let row = &weights[number as usize * width + start..][..N];
        for (sum, row) in sums.iter_mut().zip(row) {
            *sum = sum.plus(row.scale(value));
        }
    }
    *out = sums;
}

/// Turns logits into probabilities; padding becomes 0. `mask` is that of [`last_mask`].
#[inline(always)]
pub fn softmax(logits: &mut [Lanes], mask: &Lanes) {
    let Some(last) = logits.last_mut() else { return };
    // Padding must not be the largest logit.
    *last = last.times(*mask).plus(mask.map2(*mask, |a, _| (a - 1.0) * 1e30));
    let mut most = logits[0];
    for logit in &logits[1..] {
        most = most.max(*logit);
    }
    let most = most.largest();
    let mut sum = ZERO;
    for logit in logits.iter_mut() {
        *logit = logit.map2(*logit, |a, _| a - most).exp();
        sum = sum.plus(*logit);
    }
    // What the padding adds is below 1e-36, beside the 1 of the largest logit.
    let scale = 1.0 / sum.sum();
    for value in logits.iter_mut() {
        *value = value.scale(scale);
    }
    if let Some(last) = logits.last_mut() {
        *last = last.times(*mask);
    }
}

/// e to the power of `x` for `x` at most 0, good to three units in the last place.
///
/// The C library's `expf` differs between systems; this one gives the same bytes everywhere and
/// runs in vector lanes.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Below this the result is 0 for a probability.
    let x = if x > -87.0 { x } else { -87.0 };
    // Adding and taking away 1.5 * 2^23 rounds to an integer, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    // ln 2 in two parts, so that the difference keeps its low bits.
    let rest = (x - whole * 0.693_359_4) - whole * -2.121_944_4e-4;
    let mut value = 1.987_569_1e-4;
    value = value * rest + 1.398_2e-3;
    value = value * rest + 8.333_452e-3;
    value = value * rest + 4.166_579_6e-2;
    value = value * rest + 1.666_666_5e-1;
    value = value * rest + 5e-1;
    value = value * rest * rest + rest + 1.0;
    // The exponent is added to the bits; the result stays normal above -87.
    f32::from_bits(value.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The natural logarithm of a positive, normal number, good to four units in the last place; see
/// [`ln`] for how.
#[inline(always)]
fn ln_f32(x: f32) -> f32 {
    let bits = x.to_bits();
    let shifted = bits.wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits());
    let exponent = (shifted as i32 >> 23) as f32;
    let factor = f32::from_bits(bits.wrapping_sub(shifted & (0x1ff << 23)));
    let ratio = (factor - 1.0) / (factor + 1.0);
    let square = ratio * ratio;
    let mut series = 1.0 / 9.0;
    series = series * square + 1.0 / 7.0;
    series = series * square + 1.0 / 5.0;
    series = series * square + 1.0 / 3.0;
    series = series * square + 1.0;
    exponent * std::f32::consts::LN_2 + 2.0 * ratio * series
}

/// The natural logarithm of a positive, normal number, with the same bytes on every system: the C
/// library's differs with the processor.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    // Splits `x` into a power of two and a factor between the roots of a half and of two.
    let shifted = bits.wrapping_sub(std::f64::consts::FRAC_1_SQRT_2.to_bits());
    let exponent = (shifted as i64 >> 52) as f64;
    let factor = f64::from_bits(bits.wrapping_sub(shifted & (0xfff << 52)));
    let ratio = (factor - 1.0) / (factor + 1.0);
    let square = ratio * ratio;
    let series = (0..11).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * ratio * series
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
    fn ln_is_close() {
        for x in [1e-300, 1e-12, 0.3, 0.705, 0.709, 0.999, 1.0, 1.41, 1.42, 2.0, 3e9, 1e300] {
            assert!((ln(x) - x.ln()).abs() <= 1e-15 * x.ln().abs().max(1.0), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn ln_of_lanes_is_close() {
        for step in 1..20_000 {
            let x = step as f32 * 0.000_7;
            let exact = f64::from(x).ln();
            let error = f64::from(Lanes([x; LANES]).ln().0[3]) - exact;
            assert!(error.abs() <= 3e-7 * exact.abs().max(0.3), "{x}: {error}");
        }
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut logits = [Lanes([1.0, 1000.0, -1000.0, 1.0, 7.0, 7.0, 7.0, 7.0])];
        softmax(&mut logits, &last_mask(3));
        assert_eq!(logits[0].0[1], 1.0);
        assert_eq!(logits[0].0[3..], [0.0; 5]);
    }
}
