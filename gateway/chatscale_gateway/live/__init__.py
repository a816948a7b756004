"""The live state of all models, computed from the catalog and the reports of all gateways. Pure."""
