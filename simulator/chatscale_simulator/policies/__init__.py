"""Scaling policies of other systems that users know, one file each, re-implemented from reading their sources."""
