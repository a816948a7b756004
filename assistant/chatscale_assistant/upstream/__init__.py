"""The client of the chat model: the gateway, or an external OpenAI-compatible API."""
