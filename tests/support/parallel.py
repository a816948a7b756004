"""The order in which the workers of a parallel run take the test files, and which files one worker runs.

Tests that need the operator alone (`cluster_lock.py`) block each other and every other end-to-end test. One worker
runs all of them, first, while the others run the tests without a cluster. The other end-to-end tests come last: they
mostly wait, so all workers run them side by side, the longest first.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

from xdist.scheduler import LoadFileScheduling

ROOT: Final = Path(__file__).parents[2]
ALONE: Final = "tests that need the operator alone"
LONGEST: Final = (
    "test_shop_assistant.py", "test_wakes_from_zero.py", "test_one_writer.py", "test_serves_a_chat.py",
    "test_demo_says_how_to_go_on.py", "test_pages_in_browser.py", "test_holds_when_metrics_vanish.py",
    "test_prepares_for_an_event.py", "test_network_policy_is_enforced.py", "test_chats_in_a_terminal.py",
    "test_streams_pass_a_proxy.py",
)  # fmt: skip
"""End-to-end files that take more than 80 s, about the longest first."""
_MARKED: Final = re.compile(r"^pytestmark = pytest\.mark\.operator_alone$", re.MULTILINE)


class ClusterScheduling(LoadFileScheduling):
    """One worker for each file, and one for all files that need the operator alone."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return ALONE if needs_operator_alone(file) else file


@cache
def needs_operator_alone(file: str) -> bool:
    """Whether the whole file is marked so. A single marked test of another file waits for the tests that run.

    file: path from the root of the repository.
    """
    if file.startswith("tests/integration/"):
        return True
    return file.startswith("tests/e2e/") and _MARKED.search((ROOT / file).read_text()) is not None


def position(file: str) -> tuple[int, int]:
    """Sort key of a file."""
    if needs_operator_alone(file):
        return 0, 0
    if not file.startswith("tests/e2e/"):
        return 1, 0
    name = Path(file).name
    return 2, LONGEST.index(name) if name in LONGEST else len(LONGEST)
