"""Hand-over to people: a signed webhook, or Chatwoot."""
