"""References: lower bounds and schedules made with knowledge of the whole workload. Policies are compared with them.

A reference reads the workload before its run begins. No policy may import this package.
"""
