"""Function calls in generated text: one module for each format. Pure."""
