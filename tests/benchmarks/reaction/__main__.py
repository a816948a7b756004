"""`python -m tests.benchmarks.reaction`: flash crowds for Chatscale and four other policies, about 3 minutes."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hack.paths import ROOT
from tests.benchmarks.reaction.measure import POLICIES, measure
from tests.benchmarks.reaction.page import Results, render
from tests.benchmarks.reaction.scenes import Scene, all_scenes

PAGE = ROOT / "docs" / "benchmarks" / "reaction.md"


def run_all(scenes: Iterable[Scene]) -> Results:
    """Every policy in every scene."""
    return {scene: {policy: measure(policy, scene) for policy in POLICIES} for scene in scenes}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.reaction", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help=f"file to write ({PAGE.relative_to(ROOT)})")
    options = parser.parse_args(arguments)
    results = run_all(all_scenes())
    options.page.write_text(render(results), encoding="utf-8")
    sys.stdout.write(f"{len(results)} scenes, {len(POLICIES)} policies: {options.page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
