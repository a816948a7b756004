"""No stop string and no half character ever goes out, however the text is cut into tokens."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.detokenize import MAX_HELD_TOKENS, StopFilter, WindowDecoder

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


def bytes_decoder() -> WindowDecoder:
    """One token a byte, as the worst tokenizer would."""
    return WindowDecoder(lambda tokens: bytes(tokens).decode(errors="replace"))


def test_a_long_run_of_tokens_without_text_costs_no_more_than_a_short_one():
    widths = []

    def without_specials(tokens):
        widths.append(len(tokens))
        return "".join(chr(token) for token in tokens if token >= 32)

    decoder = WindowDecoder(without_specials)
    answer = [decoder.push(token) for token in [ord("a"), *[1] * 5000, ord("b"), *[2] * 3, ord("c")]]
    assert "".join(answer) + decoder.flush() == "abc"
    assert max(widths) <= 2 * MAX_HELD_TOKENS


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), max_size=40))
def test_characters_come_out_whole_and_in_order(text):
    decoder = bytes_decoder()
    pieces = [decoder.push(byte) for byte in text.encode()]
    assert "".join(pieces) == text


def test_an_incomplete_character_at_the_end_is_dropped():
    decoder = bytes_decoder()
    assert [decoder.push(byte) for byte in "a€".encode()[:-1]] == ["a", "", ""]
    assert decoder.flush() == ""


@given(tokens=st.lists(st.integers(0, 255), max_size=60))
def test_invalid_bytes_neither_fail_nor_hold_up_what_follows(tokens):
    decoder = bytes_decoder()
    for token in tokens:
        decoder.push(token)
    for token in b"abcdefghi":
        last = decoder.push(token)
    assert last.endswith("i")
