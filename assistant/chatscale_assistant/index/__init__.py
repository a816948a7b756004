"""Reads and watches the knowledge sources, and keeps the index: SQLite, or Postgres with pgvector."""
