"""Text goes out whole, and scores go out with the text that they belong to."""

from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.answer import Answer, Piece
from chatscale_server.engine.detokenize import StopFilter, WindowDecoder
from chatscale_server.engine.request import Score

WORDS = ("One", " tw", "o", " three", "€")
BYTES = [word.encode() for word in WORDS[:4]] + ["€".encode()[:1], "€".encode()[1:]]


def an_answer(*stops: str) -> Answer:
    """Token n is BYTES[n]; the last two make one character together."""
    decoder = WindowDecoder(lambda tokens: b"".join(BYTES[token] for token in tokens).decode(errors="replace"))
    return Answer(decoder, StopFilter(stops))


def push(answer: Answer, token: int) -> Piece:
    return answer.push(token, Score(token, -1.0))


def scored(*offsets: tuple[int, int]) -> tuple[Score, ...]:
    return tuple(Score(token, -1.0, (), offset) for token, offset in offsets)


def test_scores_of_text_that_may_yet_be_a_stop_string_wait_for_it():
    answer = an_answer("two!")
    assert push(answer, 0) == Piece("One", scored((0, 0)))
    assert push(answer, 1) == Piece(" ")
    assert push(answer, 2) == Piece("")
    assert push(answer, 3) == Piece("two three", scored((1, 3), (2, 6), (3, 7)))


def test_scores_of_a_stop_string_never_go_out():
    answer = an_answer("wo")
    push(answer, 0)
    assert push(answer, 1) == Piece(" t")
    assert push(answer, 2) == Piece("", scored((1, 3)), stopped=True)


def test_half_a_character_has_its_score_where_the_character_begins():
    answer = an_answer()
    assert push(answer, 4) == Piece("", scored((4, 0)))
    assert push(answer, 5) == Piece("€", scored((5, 0)))


def test_the_end_lets_everything_out():
    answer = an_answer("two!")
    push(answer, 1)
    push(answer, 2)
    assert answer.end() == Piece("two", scored((1, 0), (2, 3)))


@given(
    tokens=st.lists(st.integers(0, 5), max_size=12),
    stops=st.lists(st.sampled_from(["two", "o t", "e€", "n", "three three"]), max_size=2),
)
def test_every_token_of_the_text_has_one_score_at_its_place(tokens, stops):
    answer = an_answer(*stops)
    text, scores = "", ()
    for token in tokens:
        piece = push(answer, token)
        text, scores = text + piece.text, scores + piece.scores
        if piece.stopped:
            break
    else:
        piece = answer.end()
        text, scores = text + piece.text, scores + piece.scores
    assert [score.token for score in scores] == tokens[: len(scores)]
    assert all(score.offset <= len(text) for score in scores)
    assert all(stop not in text for stop in stops)
    if not piece.stopped:
        assert len(scores) == len(tokens)
