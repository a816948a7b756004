"""Observed state: pods from the API server and load from their metrics. Makes no decisions."""
