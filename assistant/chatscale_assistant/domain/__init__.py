"""The types that all parts share: a conversation, evidence, an answer. Pure."""
