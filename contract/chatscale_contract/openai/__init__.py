"""The parts of the OpenAI API that all programs on the request path share: errors, stream framing, model lists.

Request bodies are not here: each server validates its own (docs/design/0010).
"""
