"""GPU kernels in Triton. Imported only where torch finds a GPU, because images for CPUs have no Triton."""
