"""The `chatscale` command."""
