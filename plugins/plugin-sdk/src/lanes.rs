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

/// Asks for the cache line of an element that is going to be read soon. A hint: it changes no result,
/// and does nothing where the processor has no such instruction or there is no such element.
#[inline(always)]
pub fn prefetch<T>(elements: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = elements.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, which reads nothing by itself.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (elements, index);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
