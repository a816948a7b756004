"""Train the head that recognises requests for a person: `python -m hack.person_head`.

Reads the `dev` half of the evaluation's questions only. Writes `intent/person_head.json` of the assistant.
"""

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.encoders.use import UniversalSentenceEncoder
from chatscale_assistant.evaluation import questions
from chatscale_assistant.evaluation.questions import Split, Wants
from hack.paths import ROOT

FILE: Final = ROOT / "assistant" / "chatscale_assistant" / "intent" / "person_head.json"
_PENALTY: Final = 0.3
"""Of the squared weights; chosen by ten folds of the `dev` half, as is the threshold in `intent.person_head`."""
_STEPS: Final = 30
_DECIMALS: Final = 4
_SCALE: Final = 4.0


def main() -> None:
    """Fit all examples and write the file."""
    encoder = UniversalSentenceEncoder()
    texts, labels = examples()
    vectors = np.array([encoder.queries([text])[0] for text in texts])
    weights = fit(vectors, labels)
    data: dict[str, Any] = {
        "encoder": encoder.name,
        "provenance": f"{len(texts)} questions of the evaluation with split dev, {int(labels.sum())} need a person",
        "weights": [round(float(each), _DECIMALS) for each in weights[:-1]],
        "bias": round(float(weights[-1]), _DECIMALS),
    }
    FILE.write_text(json.dumps(data, separators=(",", ":")) + "\n", encoding="utf-8")


def examples() -> tuple[list[str], NDArray[np.float64]]:
    """Texts, and 1 for each that needs a person."""
    found: list[tuple[str, float]] = []
    for language in Language:
        found += [(each.text, each.wants is not Wants.NONE) for each in questions.hand_over(language, Split.DEV)]
        for group in (questions.policy, questions.products, questions.unanswerable):
            found += [(each.text, 0.0) for each in group(language, Split.DEV)]
    return [text for text, _ in found], np.array([label for _, label in found], dtype=np.float64)


def fit(vectors: NDArray[np.floating[Any]], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights and bias of a logistic regression, by Newton's method.  vectors: [texts, dimensions]."""
    centre = vectors.mean(0)
    scale = _SCALE / (np.std(vectors - centre, axis=0).mean() * np.sqrt(vectors.shape[1]))
    rows = np.hstack([(vectors - centre) * scale, np.ones((len(vectors), 1))])
    penalty = np.r_[np.full(vectors.shape[1], _PENALTY), 1e-6]
    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (likely - labels) + penalty * weights
        curve = (rows * (likely * (1 - likely))[:, None]).T @ rows + np.diag(penalty)
        weights -= np.linalg.solve(curve, slope)
    own = weights[:-1] * scale
    return np.append(own, weights[-1] - own @ centre)


if __name__ == "__main__":
    main()
