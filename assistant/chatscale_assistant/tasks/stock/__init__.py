"""Demand, stock and parcels: forecasts and quantities. Pure."""
