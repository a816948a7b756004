"""The fact check: which sentences the evidence supports. Pure."""

from chatscale_assistant.grounding.check import Reason, SentenceCheck, Similarity, check_sentences

__all__ = ["Reason", "SentenceCheck", "Similarity", "check_sentences"]
