"""The ladder: curated replies, templates over tool results, quotes, prompts for the model, phrases. Pure."""
