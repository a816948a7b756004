"""docs/promises.md names tests that exist, and leaves out no promise."""

import re
from typing import Final

import pytest

from hack.paths import ROOT

PROMISES: Final = range(1, 36)
"""The numbers of the project's list."""
ASSISTANT_PROMISES: Final = range(1, 26)
"""The numbers of the shop assistant's list."""
LINES: Final = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines()
ROWS: Final = [line for line in LINES if line.startswith("| ") and not line.startswith(("| # |", "| Promise |"))]
NAMED: Final = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", "\n".join(LINES))))


def test_every_promise_names_a_test():
    assert len(ROWS) > 30
    assert [row for row in ROWS if not re.search(r"`tests/[\w/]+\.py::test_\w+`", row)] == []


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_exists(path: str, name: str):
    # Not with `ast`: its parser fails at random under a deep stack (cpython issue 106905).
    source = (ROOT / path).read_text(encoding="utf-8")

    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)


def test_every_number_is_a_row_or_is_listed_as_not_built_or_not_tested():
    rows = {int(found[1]) for row in ROWS if (found := re.match(r"\| (\d+) \|", row))}
    listed: set[int] = set()
    for line in LINES:
        if found := re.match(r"- ([\d, to]+):", line):
            for first, last in re.findall(r"(\d+)(?: to (\d+))?", found[1]):
                listed |= set(range(int(first), int(last or first) + 1))

    assert rows | listed == set(PROMISES)


def test_every_number_of_the_assistant_is_a_row_or_is_listed_as_not_built():
    found = [int(number[1]) for line in LINES if (number := re.match(r"(?:\| |- )A(\d+)[: ]", line))]

    assert sorted(found) == list(ASSISTANT_PROMISES)
