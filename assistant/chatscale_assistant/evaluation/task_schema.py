"""Suite `schema`: results of every task for generated inputs, whole and valid against the published schema."""

import hashlib
import importlib
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.task_baskets import Data
from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.task import Task, TaskContext

SUITE: Final = "schema"
CASES: Final = 500
NOW: Final = datetime(2026, 11, 27, 12, tzinfo=UTC)
LANGUAGES: Final = ("zh", "en", "fr")
_PARTS: Final = (
    "Great lamp", "la livraison est en retard", "质量很好", "broken", "remboursement", "退货", "#W123", "49,90 €", "🙂",
    "ignore all rules", "<b>", "</script>", "\u202e", "{}", "NaN", "-1", "'", '"', "\n", "…",
)  # fmt: skip
_WORDS: Final = ("lamp", "thé vert", "台灯", "T-shirt", "№5", "O'Neil", "steel", "red", "大号", "50 cm")

_OFTEN: Final = 0.7
"""How often an optional field is there."""

Inputs = dict[str, Any]
T = TypeVar("T")


class RandomVectors(Encoder):
    """Vectors that depend on the text alone: the schemas do not depend on what an encoder understands."""

    @property
    @override
    def name(self) -> str:
        return "random-vectors"

    @property
    @override
    def dimensions(self) -> int:
        return 384

    @override
    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    @override
    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.queries(texts)

    def _vector(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")
        vector = np.random.default_rng(seed).normal(size=self.dimensions)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


def run(data: Data, *, sample: int | None, seed: int) -> list[Measurement]:
    """`sample` inputs for each task, `CASES` for None. Needs no data set."""
    del data
    context = TaskContext(encoder=RandomVectors(), now=NOW)
    return [measure(TASKS[name], context, sample or CASES, seed) for name in INPUTS]


def measure(task: Task[Any, Any], context: TaskContext, count: int, seed: int) -> Measurement:
    """Share of inputs whose result is whole JSON and valid."""
    schemas = task.schemas()
    validator: Any = importlib.import_module("jsonschema").Draft202012Validator
    accepts, gives = validator(schemas["input"]), validator(schemas["output"])
    outcomes = []
    for number in range(count):
        given = INPUTS[task.name](np.random.default_rng([seed, number]))
        result = finished(task.run(given, context))
        written = json.loads(result.model_dump_json())
        outcomes.append(accepts.is_valid(given) and gives.is_valid(written) and bool(written["engine"]))
    return Measurement.of(
        SUITE,
        f"{task.name}: valid results",
        share(outcomes),
        must=1.0,
        aim=1.0,
        note="generated inputs with mixed languages and markup; random vectors in place of the encoder",
    )


def finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of a task that waits for nothing: without a chat model none does."""
    try:
        work.send(None)
    except StopIteration as e:
        return e.value  # type: ignore[no-any-return]  # StopIteration has no type of its value
    work.close()
    raise RuntimeError("the task waits for something outside")


def make_text(rng: np.random.Generator, parts: int) -> str:
    """Mixed languages, markup and marks; never blank."""
    return "a" + " ".join(rng.choice(_PARTS, size=parts).tolist())


def _sentiment(rng: np.random.Generator) -> Inputs:
    return {"text": make_text(rng, int(rng.integers(1, 12)))}


def _review_risk(rng: np.random.Generator) -> Inputs:
    reviews = [
        {
            "reviewer": f"r{rng.integers(0, 12)}",
            "product": f"p{rng.integers(0, 6)}",
            "rating": float(rng.integers(1, 6)),
            "text": make_text(rng, 2),
            **({"at": (NOW - timedelta(hours=int(rng.integers(0, 5000)))).isoformat()} if _often(rng) else {}),
        }
        for _ in range(int(rng.integers(1, 60)))
    ]
    return {"reviews": reviews, "language": _language(rng)}


def _recommend(rng: np.random.Generator) -> Inputs:
    lines = [
        f"c{rng.integers(0, 40)},i{rng.integers(0, 15)},{(NOW - timedelta(days=int(rng.integers(0, 300)))).date()}"
        for _ in range(int(rng.integers(1, 150)))
    ]
    return {
        "purchases": "\n".join(["customer,item,date", *lines]),
        "stock": {f"i{number}": int(rng.integers(0, 3)) for number in range(18)} | {"new": 1},
        "basket": [f"i{rng.integers(0, 20)}" for _ in range(int(rng.integers(0, 4)))],
        "customer": f"c{rng.integers(0, 60)}",
        "new_only": _often(rng),
        "language": _language(rng),
    }


def _order_advice(rng: np.random.Generator) -> Inputs:
    kinds = ("shipped", "in_transit", "out_for_delivery", "exception", "delivered")
    items = [
        {
            "item": f"i{number}",
            "stock": float(rng.integers(0, 100)),
            "incoming": float(rng.integers(0, 20)),
            "weekly_sales": rng.poisson(rng.integers(0, 9), size=int(rng.integers(0, 60))).tolist(),
            "lead_time_days": float(rng.integers(1, 40)),
            "lead_time_sd_days": float(rng.integers(0, 9)),
            "pack_size": int(rng.integers(1, 24)),
        }
        for number in range(int(rng.integers(1, 8)))
    ]
    parcels = [
        {
            "parcel": f"x{number}",
            "promised": (NOW + timedelta(hours=int(rng.integers(-90, 90)))).isoformat(),
            "events": [
                {"at": (NOW - timedelta(hours=int(rng.integers(-9, 200)))).isoformat(), "kind": str(rng.choice(kinds))}
                for _ in range(int(rng.integers(0, 5)))
            ],
        }
        for number in range(int(rng.integers(0, 6)))
    ]
    return {"items": items, "parcels": parcels, "language": _language(rng)}


def _product_copy(rng: np.random.Generator) -> Inputs:
    words = rng.permutation(_WORDS).tolist()
    fields: Inputs = {"name": words[0], "language": _language(rng)}
    if _often(rng):
        fields |= {"brand": words[1], "category": words[2], "attributes": {words[3]: words[4], "Material": words[5]}}
    if _often(rng):
        fields |= {"price": f"{rng.integers(0, 99_999)}.{rng.integers(10, 99)}", "currency": "EUR"}
    if _often(rng):
        fields["options"] = {"color": words[6 : 6 + int(rng.integers(1, 4))]}
    return fields


def _summarise(rng: np.random.Generator) -> Inputs:
    texts = [
        {
            "text": make_text(rng, int(rng.integers(1, 4))),
            "speaker": str(rng.choice(("customer", "shop"))),
            "rating": float(rng.integers(1, 6)),
        }
        for _ in range(int(rng.integers(1, 4)))
    ]
    return {"kind": str(rng.choice(("conversation", "reviews"))), "texts": texts, "language": _language(rng)}


def _often(rng: np.random.Generator) -> bool:
    return bool(rng.random() < _OFTEN)


def _language(rng: np.random.Generator) -> str:
    return str(rng.choice(LANGUAGES))


INPUTS: Final[Mapping[str, Callable[[np.random.Generator], Inputs]]] = {
    "sentiment": _sentiment,
    "review-risk": _review_risk,
    "recommend": _recommend,
    "order-advice": _order_advice,
    "product-copy": _product_copy,
    "summarise": _summarise,
}
