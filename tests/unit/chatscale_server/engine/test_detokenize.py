"""Stop strings never leave, however the text is split, and scores leave with the text that they belong to."""

from codecs import getincrementaldecoder
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.detokenize import SequenceText, StopFilter, TextPiece
from chatscale_server.engine.request import Score

letters = st.text(alphabet="ab€", max_size=30)
stops = st.lists(st.text(alphabet="ab€", min_size=1, max_size=4), min_size=1, max_size=3)


def cut_at_first_stop(text: str, stops: list[str]) -> tuple[str, bool]:
    """The obvious reading: letter by letter, until some stop string is complete."""
    for end in range(len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))], True
    return text, False


@given(text=letters, stops=stops, cuts=st.lists(st.integers(0, 30)))
def test_any_split_gives_the_text_before_the_first_complete_stop_string(text, stops, cuts):
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    stop_filter = StopFilter(tuple(stops))
    out, stopped = "", False
    for start, end in pairwise(edges):
        piece, stopped = stop_filter.push(text[start:end])
        out += piece
        assert not any(stop in out for stop in stops)
        if stopped:
            break
    else:
        out += stop_filter.flush()
    assert (out, stopped) == cut_at_first_stop(text, stops)


def test_without_stop_strings_text_passes_at_once():
    assert StopFilter(()).push("anything") == ("anything", False)


WORDS = ("One", " tw", "o", " three", "€")
BYTES = [word.encode() for word in WORDS[:4]] + ["€".encode()[:1], "€".encode()[1:]]


class BytesDecoder:
    """Token n is BYTES[n]; the last two make one character together."""

    def __init__(self) -> None:
        self._decode = getincrementaldecoder("utf-8")("replace").decode

    def push(self, token: int) -> str:
        return self._decode(BYTES[token])

    def flush(self) -> str:
        return ""


def a_text(*stops: str) -> SequenceText:
    return SequenceText(BytesDecoder(), StopFilter(stops))


def push(text: SequenceText, token: int) -> TextPiece:
    return text.push(token, Score(token, -1.0))


def scored(*offsets: tuple[int, int]) -> tuple[Score, ...]:
    return tuple(Score(token, -1.0, (), offset) for token, offset in offsets)


def test_scores_of_text_that_may_yet_be_a_stop_string_wait_for_it():
    text = a_text("two!")
    assert push(text, 0) == TextPiece("One", scored((0, 0)))
    assert push(text, 1) == TextPiece(" ")
    assert push(text, 2) == TextPiece("")
    assert push(text, 3) == TextPiece("two three", scored((1, 3), (2, 6), (3, 7)))


def test_scores_of_a_stop_string_never_go_out():
    text = a_text("wo")
    push(text, 0)
    assert push(text, 1) == TextPiece(" t")
    assert push(text, 2) == TextPiece("", scored((1, 3)), stopped=True)


def test_the_score_of_half_a_character_has_the_offset_of_the_character():
    text = a_text()
    assert push(text, 4) == TextPiece("", scored((4, 0)))
    assert push(text, 5) == TextPiece("€", scored((5, 0)))


def test_the_end_releases_all_held_text():
    text = a_text("two!")
    push(text, 1)
    push(text, 2)
    assert text.end() == TextPiece("two", scored((1, 0), (2, 3)))


@given(
    tokens=st.lists(st.integers(0, 5), max_size=12),
    stops=st.lists(st.sampled_from(["two", "o t", "e€", "n", "three three"]), max_size=2),
)
def test_every_token_of_the_text_has_one_score_at_its_place(tokens, stops):
    state = a_text(*stops)
    text, scores = "", ()
    for token in tokens:
        piece = push(state, token)
        text, scores = text + piece.text, scores + piece.scores
        if piece.stopped:
            break
    else:
        piece = state.end()
        text, scores = text + piece.text, scores + piece.scores
    assert [score.token for score in scores] == tokens[: len(scores)]
    assert all(score.offset <= len(text) for score in scores)
    assert all(stop not in text for stop in stops)
    if not piece.stopped:
        assert len(scores) == len(tokens)
