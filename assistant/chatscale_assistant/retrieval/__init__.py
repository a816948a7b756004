"""Retrieval without I/O: bytes to chunks, questions to terms, ranks to hits."""
