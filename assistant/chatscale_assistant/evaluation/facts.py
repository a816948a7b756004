"""Suite `facts`: 1,000 answers with a model that invents, read by the independent check."""

from collections.abc import AsyncIterator
from typing import Final

from chatscale_assistant.domain.interfaces import Responder
from chatscale_assistant.evaluation.bad_models import InventingModel
from chatscale_assistant.evaluation.independent_check import unsupported
from chatscale_assistant.evaluation.intervals import count
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.process import CONTACT
from chatscale_assistant.evaluation.questions.composed import shop_questions
from chatscale_assistant.evaluation.talk import conversation, evidence_of
from chatscale_contract.assistant.extras import Rung

ANSWERS: Final = 1000
_SHOWN: Final = 8


async def measure_facts(responder: Responder, model: InventingModel, sample: int | None) -> AsyncIterator[Measurement]:
    """Invented facts that reach a customer. `responder` uses `model` for every answer that a model may write."""
    asked = shop_questions(sample or ANSWERS)
    invented: list[str] = []
    drafts: list[bool] = []
    """Of each draft of the model: whether it has an invented fact."""
    answers = []
    for number, question in enumerate(asked):
        model.language = question.language
        answer = await responder.answer(conversation(question.text, identity=f"facts-{number}"))
        answers.append(answer)
        # The shop's own address is a fact of its configuration, which no citation has.
        evidence = [*evidence_of(answer), CONTACT]
        drafts += [bool(unsupported(draft, evidence, question.text)) for draft in model.drafts[len(drafts) :]]
        if found := unsupported(answer.text, evidence, question.text):
            invented.append(f"{question.id} ({answer.rung}): {', '.join(found)}")
    written = sum(each.rung is Rung.MODEL for each in answers)
    yield Measurement.of(
        "facts",
        f"answers with an invented fact, of {len(asked):,}",
        count(len(invented), len(asked)),
        baseline=sum(drafts) if drafts else None,
        baseline_name="drafts of the model",
        must=0,
        aim=0,
        lower_is_better=True,
        note="; ".join(invented[:_SHOWN]),
    )
    yield Measurement.of(
        "facts",
        "answers for which the model was used",
        count(len(model.drafts), len(asked)),
        note=f"Of these, {written} reached the customer, whole or in part, after the fact check.",
    )
