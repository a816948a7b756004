"""What the owner of a key may use: requests and tokens per minute, and requests at a time. Pure."""
