"""Suite `model`: whether the model that `--model` names may phrase answers."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.interfaces import Responder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.independent_check import unsupported
from chatscale_assistant.evaluation.intervals import count, share
from chatscale_assistant.evaluation.language_suite import looks_like
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.questions.composed import shop_questions
from chatscale_assistant.evaluation.talk import conversation, evidence_of
from chatscale_assistant.evaluation.url_model import UrlModel
from chatscale_contract.assistant.extras import Rung

QUESTIONS: Final = 90
IN_TIME_S: Final = 8.0
"""Default of `spec.model.timeoutSeconds`."""
_SHOWN: Final = 6
_REASONS: Final = 3


async def measure_model(responder: Responder, model: UrlModel, sample: int | None) -> AsyncIterator[Measurement]:
    """Questions about the shop; `responder` uses `model` wherever a model may write.

    Raises SourceError after the other numbers if there was no draft: nothing then shows how the model writes.
    """
    invented: list[str] = []
    before: list[bool] = []
    kept: list[bool] = []
    written: list[bool] = []
    for number, question in enumerate(shop_questions(sample or QUESTIONS)):
        drafts = len(model.drafts)
        answer = await responder.answer(conversation(question.text, identity=f"model-{number}"))
        if found := unsupported(answer.text, evidence_of(answer), question.text):
            invented.append(f"{question.id} ({answer.rung}): {', '.join(found)}")
        for draft in model.drafts[drafts:]:
            before.append(bool(unsupported(draft, evidence_of(answer), question.text)))
            kept.append(looks_like(draft) in {Language(question.language), None})
            written.append(answer.rung is Rung.MODEL)
    asked = sample or QUESTIONS
    yield Measurement.of(
        "model",
        f"answers with an invented fact, of {asked}",
        count(len(invented), asked),
        must=0,
        aim=0,
        lower_is_better=True,
        note="; ".join(invented[:_SHOWN]),
    )
    in_time = [each <= IN_TIME_S for each in model.seconds]
    for name, outcomes, must, aim in (
        ("drafts without an invented fact, before the check", [not each for each in before], None, None),
        ("drafts that reach the customer", written, 0.8, 0.9),
        ("drafts in the customer's language", kept, 0.95, 0.99),
        (f"answers of the model within {IN_TIME_S:.0f} s", in_time, 0.9, 0.99),
    ):
        if outcomes:
            note = _reasons(model.failures) if outcomes is in_time else ""
            yield Measurement.of("model", name, share(outcomes), must=must, aim=aim, note=note)
    if not model.drafts:
        raise SourceError(f"the model wrote no draft in {len(model.seconds)} calls. {_reasons(model.failures)}".strip())


def _reasons(failures: list[str]) -> str:
    """The most frequent reasons, with their counts."""
    found = Counter(failures).most_common(_REASONS)
    return f"without a text: {'; '.join(f'{count_} times {reason}' for reason, count_ in found)}" if found else ""
