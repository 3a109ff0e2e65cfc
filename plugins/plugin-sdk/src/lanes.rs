//! Runs float kernels with the widest vectors the processor has, with the same bytes on each.
//!
//! The compiler is told of wider registers, never of fused operations: a kernel that fixes the
//! order of its own sums gives the same result with any of them, so models do not depend on the
//! machine. Knows nothing of what the kernels compute.

/// Work that gains from wide vectors. Mark `run` and what it calls in its inner loops
/// `#[inline(always)]`: only code inlined into [`run_wide`] is compiled for them.
pub trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a kernel, compiled for the best instructions found at run time.
#[inline]
pub fn run_wide<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { run_avx2(kernel) };
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
