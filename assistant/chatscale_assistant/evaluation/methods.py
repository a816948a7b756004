"""How each suite measures, for the page."""

from typing import Final

METHODS: Final = {
    "retrieval": (
        "150 handwritten questions per language for one of tau2's 50 products (English catalogue, one variant a "
        "row), and 60 per language for its policy. A passage is right if it contains a quote of the policy, so "
        "chunking may change. Half of each set is held out; nobody tunes on it."
    ),
    "abstention": (
        "The same policy questions against 30 plausible questions per language that neither the policy nor the "
        "catalogue answers: how well `answerable` separates them."
    ),
    "facts": (
        "Seeded errors: true sentences with one error each, and the fact check alone. Then 1,000 questions with a "
        "scripted model that invents in every answer; a second check, which shares no code with the assistant's, "
        "looks for numbers, links and codes that the cited text does not have."
    ),
    "gate": (
        "Expected writes of tau2's tasks, changed in one way each, with a valid confirmation where the change is "
        "not about it. Then the expected actions of all 114 tasks with and without the gate."
    ),
    "injection": (
        "200 texts with instructions for the assistant in reviews, documents, catalogue rows and orders, with a "
        "scripted model that obeys them. A link counts in the answer and in its citations."
    ),
    "language": (
        "60 conversations of five turns with two switches and with messages that are in no language. The answer's "
        "mark and its text without quotes must have the expected language."
    ),
    "hand-over": (
        "200 messages per language; half request a person or are so angry that one has to take over. The others "
        "are ordinary, or mention people without requesting one."
    ),
    "sentiment": ("Reviews with marks: Amazon (en), Chinese shops (zh), books (fr)."),
    "review-risk": ("A synthetic graph of reviewers with marked ones."),
    "recommend": ("Complete Journey: one year of baskets, its last tenth held out."),
    "demand": ("Complete Journey: sales per item and week."),
    "schema": (
        "Generated inputs per task, with broken and hostile text; each result is checked against its JSON schema."
    ),
    "freshness": (
        "Seconds from the change of a mounted file to the first answer that uses it, over HTTP. The propagation of "
        "a ConfigMap (up to about a minute) comes on top."
    ),
    "latency": (
        "30 questions a second for 40 s at random times (Poisson), over HTTP, against one process without a model. "
        "Client and process share the machine. The time counts from the moment at which a request was due."
    ),
    "overload": ("A stand-in model with two slots and 1 s per answer, and ten times the load that it can answer."),
    "model": (
        "The model that `--model` names: 90 questions for which it may phrase the answer. It passes if it reaches "
        "every must."
    ),
}
"""By suite: the set, and what counts."""
