"""The gateway's logs."""
