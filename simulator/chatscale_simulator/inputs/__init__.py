"""Reads what the user gives: traces, a ChatModel, announced events."""
