//! How far confidences can be believed: how often they are right, in bins.

/// Bins of equal mass for the expected calibration error (the adaptive bins of Nixon et al.,
/// "Measuring calibration in deep learning", 2019). Of bins of equal width most are empty where
/// models are sure.
pub(crate) const BINS: usize = 15;

/// Records of neighbouring confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bin {
    pub records: u64,
    pub hits: u64,
    /// Sum of all confidences, the lowest and the highest.
    pub confidence: f64,
    pub low: f64,
    pub high: f64,
}

/// Bins that hold about equally many of these confidences, each with whether it was a hit.
///
/// Equal confidences are in one bin, the one that holds the middle of their ranks, whatever the order
/// of records; so a bin may hold more than its share, and others nothing.
pub(crate) fn bins_of(mut judged: Vec<(f64, bool)>) -> [Bin; BINS] {
    judged.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut bins = [Bin::default(); BINS];
    let mut before = 0;
    for equal in judged.chunk_by(|a, b| a.0 == b.0) {
        let twice_the_middle = 2 * before + equal.len();
        before += equal.len();
        let bin = twice_the_middle * BINS / (2 * judged.len());
        let bin = &mut bins[bin.min(BINS - 1)];
        let confidence = equal[0].0;
        if bin.records == 0 {
            bin.low = confidence;
        }
        bin.high = confidence;
        bin.records += equal.len() as u64;
        bin.hits += equal.iter().filter(|(_, hit)| *hit).count() as u64;
        bin.confidence += confidence * equal.len() as f64;
    }
    bins
}

/// Mean distance of confidence and share of hits, over the records of all bins; `None` without any.
pub(crate) fn calibration_error(bins: &[Bin]) -> Option<f64> {
    let records: u64 = bins.iter().map(|bin| bin.records).sum();
    let off: f64 = bins.iter().map(|bin| (bin.hits as f64 - bin.confidence).abs()).sum();
    (records > 0).then(|| off / records as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_equally_many_whatever_the_order_of_records() {
        // Sure ones alone: bins of equal width would put all of them into one.
        let mut judged: Vec<(f64, bool)> =
            (0..1500).map(|n| (0.95 + f64::from(n) / 40_000.0, n % 10 > 0)).collect();
        let bins = bins_of(judged.clone());
        assert!(bins.iter().all(|bin| (bin.records, bin.hits) == (100, 90)));
        assert!(bins.windows(2).all(|pair| pair[0].high < pair[1].low));
        judged.reverse();
        judged.rotate_left(700);
        let turned = bins_of(judged);
        let sums = |bins: [Bin; BINS]| bins.map(|bin| bin.confidence.to_bits());
        assert_eq!(sums(bins), sums(turned));
    }

    #[test]
    fn equal_confidences_share_a_bin() {
        let mut judged = vec![(0.5, true); 30];
        judged.extend(vec![(0.5, false); 30]);
        judged.extend((0..15).map(|n| (0.6 + f64::from(n) / 100.0, true)));
        let bins = bins_of(judged);
        // The middle of ranks 0 to 60 of 75 is in bin 6 of 15.
        assert_eq!((bins[6].records, bins[6].hits), (60, 30));
        assert!((0..6).all(|n| bins[n].records == 0));
        assert_eq!(bins.iter().map(|bin| bin.records).sum::<u64>(), 75);
    }
}
