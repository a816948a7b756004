"""Kernels: Triton on a GPU, numba on a CPU (`cpu.py`, `cpu_loops.py`).

No other package imports Triton or numba. Both are imported where they are used: images may lack one of them.
"""
