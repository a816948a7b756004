"""What no policy can know, as a yardstick: the least a workload needs, and schedules made with hindsight.

A reference reads the whole workload before its run begins. None of this may be imported by a policy.
"""
