"""The passes over ChatModels. `reconciler.py` has the steps of a pass in order; every other module is one step."""
