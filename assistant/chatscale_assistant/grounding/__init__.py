"""The fact check: which sentences the evidence supports. Pure."""
