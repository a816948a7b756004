"""Finished blocks do not change; nothing is lost; the rest stays small."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_cli.chat.blocks import MAX_BLOCK_CHARS, Block, Blocks


def split(text: str, size: int = 3) -> list[Block]:
    blocks = Blocks()
    found = [block for at in range(0, len(text), size) for block in blocks.feed(text[at : at + size])]
    return found + blocks.end()


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param("one\ntwo\n\nthree", ["one\ntwo\n\n", "three"], id="paragraphs"),
        pytest.param("```py\na\n\nb\n```\n\nend", ["```py\na\n\nb\n```\n\n", "end"], id="code-with-empty-lines"),
        pytest.param("- a\n\n  more\n\n- b\n", ["- a\n\n  more\n\n", "- b\n"], id="list-item-with-paragraphs"),
        pytest.param("~~~\n```\n\nx\n~~~\n\ny", ["~~~\n```\n\nx\n~~~\n\n", "y"], id="fence-in-a-fence"),
        pytest.param("````\n```\n\n````\n\ny", ["````\n```\n\n````\n\n", "y"], id="longer-fence"),
        pytest.param("\n\n", [], id="nothing"),
    ],
)
def test_a_block_ends_where_markdown_ends_it(text: str, blocks: list[str]):
    assert [block.text for block in split(text)] == blocks


@given(st.text(alphabet="ab \n`~-"), st.integers(min_value=1, max_value=9))
def test_no_text_is_lost_and_parts_make_no_difference(text: str, size: int):
    found = split(text, size)
    assert found == split(text, max(1, len(text)))
    assert "".join("".join(block.text.split()) for block in found) == "".join(text.split())


def test_a_long_paragraph_is_cut_and_shown_without_markdown():
    text = "word " * MAX_BLOCK_CHARS + "\n\n*next*"
    found = split(text, 1000)
    assert "".join(block.text for block in found[:-1]).rstrip() == text.removesuffix("\n\n*next*").rstrip()
    assert [block.is_markdown for block in found] == [False] * (len(found) - 1) + [True]
    assert [block.follows for block in found] == [False] + [True] * (len(found) - 2) + [False]
    assert all(len(block.text) <= MAX_BLOCK_CHARS + len("\n\n") for block in found)


def test_a_long_code_block_is_cut_at_lines_and_stays_code():
    lines = [f"line {number}" for number in range(5000)]
    found = split("```py\n" + "\n".join(lines) + "\n```\n\nend", 500)
    assert len(found) > 5
    assert all(re.fullmatch(r"```py\n.*\n```\n+", block.text, re.DOTALL) for block in found[:-1])
    shown = [line for block in found[:-1] for line in block.text.strip().split("\n")[1:-1]]
    assert shown == lines
    assert found[-1] == Block("end")


def test_the_rest_stays_small():
    blocks = Blocks()
    for _ in range(100):
        blocks.feed("x" * 5000)
        assert len(blocks.rest) <= 2 * MAX_BLOCK_CHARS
    assert not blocks.rest_is_markdown
    assert blocks.rest_follows
