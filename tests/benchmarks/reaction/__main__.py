"""`python -m tests.benchmarks.reaction`: flash crowds for Chatscale and four other policies, about 3 minutes.

With `--kind`: the section of the same page that is measured on the kind cluster; further options are those of
`tests.benchmarks.reaction.kind`.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hack.paths import ROOT
from tests.benchmarks.reaction.kind import __main__ as kind
from tests.benchmarks.reaction.kind.page import DATA, PAGE, with_section
from tests.benchmarks.reaction.kind.results import load
from tests.benchmarks.reaction.measure import POLICIES, measure
from tests.benchmarks.reaction.page import Results, render
from tests.benchmarks.reaction.scenes import Scene, all_scenes


def run_all(scenes: Iterable[Scene]) -> Results:
    """Every policy in every scene."""
    return {scene: {policy: measure(policy, scene) for policy in POLICIES} for scene in scenes}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.reaction", description=__doc__)
    parser.add_argument("--kind", action="store_true", help="measure on the kind cluster instead of simulating")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"file to write ({PAGE.relative_to(ROOT)})")
    options, further = parser.parse_known_args(arguments)
    if options.kind:
        return kind.main(["--page", str(options.page), *further])
    if further:
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    results = run_all(all_scenes())
    text = render(results)
    options.page.write_text(with_section(text, load(DATA)) if DATA.exists() else text, encoding="utf-8")
    sys.stdout.write(f"{len(results)} scenes, {len(POLICIES)} policies: {options.page}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
