"""Knowledge sources to an index in use: reading, watching, embedding, storing and searching."""
