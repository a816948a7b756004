"""The simulation: requests, replicas and a policy in virtual time.

Pure: no wall clock, no files, no network. `numpy` holds the data, and `numba` compiles the inner loop.
"""
