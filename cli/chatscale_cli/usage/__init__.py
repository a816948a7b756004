"""`chatscale usage`: tokens and money by key and model, from the access log of the gateway."""
