"""Curated replies become a chunk for each question."""

import pytest

from chatscale_assistant.errors import SourceError
from chatscale_assistant.retrieval.replies import read_replies

REPLY = """
- id: hours
  questions: ["When are you open?", "Quand ouvrez-vous ?"]
  answers: {en: "From 9 to 18.", fr: "De 9 h à 18 h."}
"""


def test_each_question_is_a_chunk_with_all_answers():
    chunks = read_replies("replies", "v", "a.yaml", REPLY.encode())

    assert [chunk.title for chunk in chunks] == ["When are you open?", "Quand ouvrez-vous ?"]
    assert {chunk.text for chunk in chunks} == {"From 9 to 18."}
    assert dict(chunks[1].fields) == {
        "reply": "hours",
        "answer.en": "From 9 to 18.",
        "answer.fr": "De 9 h à 18 h.",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "expected a list of replies, found NoneType", id="empty"),
        pytest.param("a: [", "expected YAML without aliases, found", id="no yaml"),
        pytest.param("- &a {id: x}\n- *a\n", "found: an alias", id="alias"),
        pytest.param("- !!python/object/apply:os.system [id]\n", "expected YAML without aliases", id="code"),
        pytest.param("[" * 5000, "expected YAML without aliases", id="deep"),
        pytest.param("- {id: x, question: [a]}\n", "found ['id', 'question']", id="unknown field"),
        pytest.param("- {id: 7, questions: [a], answers: {en: b}}\n", "reply 1, id: expected text, found 7", id="id"),
        pytest.param("- {id: x, questions: a, answers: {en: b}}\n", "questions: expected a list of 1 to", id="no list"),
        pytest.param("- {id: x, questions: [a], answers: {de: b}}\n", "expected an answer for one or more", id="de"),
        pytest.param(
            "- {id: x, questions: [a], answers: {en: 1}}\n", "answers.en: expected text, found 1", id="number"
        ),
        pytest.param(REPLY + REPLY, "reply 2, id: expected an id that no other reply has, found 'hours'", id="twice"),
    ],
)
def test_bad_replies_are_refused_with_the_place(text, message):
    with pytest.raises(SourceError) as error:
        read_replies("replies", "v", "a.yaml", text.encode())

    assert str(error.value).startswith("source replies: a.yaml")
    assert message in str(error.value)
