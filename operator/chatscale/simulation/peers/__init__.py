"""Scaling rules of other systems, one file each, re-implemented from reading their sources."""
