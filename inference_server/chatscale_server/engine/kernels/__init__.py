"""Triton kernels. No other package imports Triton, and this one is imported on a GPU only: images may lack it."""
