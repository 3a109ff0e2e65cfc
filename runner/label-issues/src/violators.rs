//! Pooling adjacent violators: neighbours become one until a sequence has its order (Ayer, Brunk,
//! Ewing, Reid, Silverman 1955). It knows nothing of what is pooled.

/// A stretch of a sequence that can take in the stretch after it.
pub(crate) trait Block: Copy {
    fn take(&mut self, next: Self);
}

/// Pools neighbours of which `violates(early, late)` says that they are not in order.
pub(crate) fn pool<B: Block>(
    blocks: impl IntoIterator<Item = B>,
    violates: impl Fn(&B, &B) -> bool,
) -> Vec<B> {
    let mut pooled: Vec<B> = Vec::new();
    for mut block in blocks {
        while let Some(early) = pooled.pop_if(|early| violates(early, &block)) {
            let late = std::mem::replace(&mut block, early);
            block.take(late);
        }
        pooled.push(block);
    }
    pooled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Mean(i32, i32);

    impl Block for Mean {
        fn take(&mut self, next: Mean) {
            self.0 += next.0;
            self.1 += next.1;
        }
    }

    #[test]
    fn neighbours_are_pooled_until_they_rise() {
        let rises = |early: &Mean, late: &Mean| early.0 * late.1 >= late.0 * early.1;
        let pooled = |values: &[i32]| {
            let blocks = pool(values.iter().map(|value| Mean(*value, 1)), rises);
            blocks.iter().map(|block| (block.0 / block.1, block.1)).collect::<Vec<_>>()
        };
        assert_eq!(pooled(&[1, 3, 2, 4, 4, 9]), [(1, 1), (2, 2), (4, 2), (9, 1)]);
        assert_eq!(pooled(&[9, 6, 3]), [(6, 3)]);
        assert_eq!(pooled(&[]), []);
    }
}
