"""Tells a person what came out: tables, a forecast in words, pictures."""
