"""API keys: who sends a request, and what the policy of the key allows. Pure."""
