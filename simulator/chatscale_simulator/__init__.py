"""`chatscale simulate`: plays traffic against replicas and scaling policies in virtual time.

`inputs/` reads traces and ChatModels, `simulation/` is pure and runs on virtual time, `policies/` holds scaling rules
of other systems, `report/` writes tables and pictures.
"""
