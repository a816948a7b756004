"""Make it so: one pass over a ChatModel, and the loop that runs passes."""
