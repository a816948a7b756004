"""Output for the user: tables, a forecast for one ChatModel, pictures."""
