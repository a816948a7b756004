"""The client of MCP servers. Every call passes the gate."""
