"""The gateway: one OpenAI-compatible address in front of all ChatModels. Holds, routes and relays requests."""
