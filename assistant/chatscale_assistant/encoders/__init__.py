"""Encoders: texts in any language to vectors. Weights are loaded at the first call, which blocks for up to a second."""
