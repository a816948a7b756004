"""Triton kernels. Only this package imports Triton, which the images for CPUs do not contain."""
