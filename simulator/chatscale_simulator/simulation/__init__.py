"""Traffic played against replicas and a policy in virtual time: what the shipping policy would have done.

Pure: no wall clock, no files, no network; `numpy` for data, `numba` where requests are counted in millions.
"""
