"""Which tool calls may run: allow list, pins, identity, confirmation, idempotency. Pure."""
