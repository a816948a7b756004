"""The sample shop: tau2's retail data behind an MCP server, its catalogue and policy as files, its customers' tokens.

Needs only the standard library and the package `mcp`. State is in memory.
"""
