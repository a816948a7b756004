"""The assistant of a shop: answers from documents, catalogue and tools; a chat model only phrases."""
