"""`chatscale key`: API keys of the gateway, as Secrets."""
