"""HTTP below an API: client connections, error responses and open requests."""
