"""No text of others can control a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_cli.terminal_text import one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\tb\n", "a\tb\n", id="tabs-and-line-ends-stay"),
        pytest.param("\x1b[31mred", "\u241b[31mred", id="escape"),
        pytest.param("\x1b]0;title\x07", "\u241b]0;title\u2407", id="window-title"),
        pytest.param("safe\rhidden\r\n", "safehidden\n", id="carriage-return"),
        pytest.param("\x9b2J\x7f", "\ufffd2J\u2421", id="eight-bit-and-delete"),
        pytest.param("\u202eabc\u2066", "\ufffdabc\ufffd", id="direction"),
        pytest.param("a\u2028b", "a\nb", id="line-separator"),
        pytest.param("\ud800", "\ufffd", id="lone-surrogate"),
        pytest.param("Grüße 👩‍💻 שלום", "Grüße 👩‍💻 שלום", id="people-write-so"),
    ],
)
def test_shows_control_characters_as_pictures(text: str, shown: str):
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_nothing_but_tabs_and_line_ends_controls_a_terminal(text: str):
    found = {char for char in printable(text) if unicodedata.category(char) in {"Cc", "Cs"}}
    assert found <= {"\n", "\t"}


@given(st.text(), st.integers(min_value=0, max_value=20))
def test_a_text_may_be_split_anywhere(text: str, at: int):
    assert printable(text[:at]) + printable(text[at:]) == printable(text)


def test_one_line_has_no_line_end():
    assert one_line(" a\n\tb\x1b ") == "a b\u241b"
