"""The language of a message and of an answer."""
