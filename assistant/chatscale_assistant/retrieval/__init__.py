"""Chunks, terms, rank fusion and calibration. Pure."""
