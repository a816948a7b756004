"""`chatscale chat`: a conversation with a model in the terminal, or one answer in a pipe."""
