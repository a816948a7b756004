"""Sentence encoders, behind `domain.interfaces.Encoder`."""
