"""Scaling policies: Chatscale's own, and those of other projects that users know, each from its source code."""
