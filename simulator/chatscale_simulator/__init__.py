"""`chatscale simulate`: traffic against replicas and a scaling policy, in virtual time.

`inputs/` reads traces and ChatModels, `simulation/` simulates the replicas, `policies/` decides replica counts,
and `report/` writes tables and pictures.
"""
