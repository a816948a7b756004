"""Reads the user's inputs: traces, a ChatModel, announced events."""
