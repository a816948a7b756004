"""`chatscale status`: the live state of all models, as the live page shows it."""
