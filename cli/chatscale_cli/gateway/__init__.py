"""The way from this machine to the gateway: its address, the port-forward and the API key."""
