"""`python -m tests.benchmarks.replay`: traffic on the kind cluster beside its forecast, and docs/benchmarks/replay.md.

Needs the chart installed (`make install`); about 20 minutes, and a machine that does little else.
"""

import argparse
import sys
from pathlib import Path

import yaml

from chatscale_simulator.inputs.chatmodel import read_model
from hack.paths import ROOT
from tests.benchmarks.replay.forecast import forecast
from tests.benchmarks.replay.measure import measure
from tests.benchmarks.replay.page import Compared, draw, page
from tests.benchmarks.replay.traffic import LENGTH_S, Replayed, first, replayed
from tests.benchmarks.server.machine import describe

CHATMODEL = Path(__file__).parent / "chatmodel.yaml"
PAGE = ROOT / "docs" / "benchmarks" / "replay.md"


def main() -> int:
    """Replay, forecast, compare. 0 unless a request was lost."""
    options = _options()
    subject = read_model(CHATMODEL, None)
    manifest = yaml.safe_load(CHATMODEL.read_text(encoding="utf-8"))
    # First, since it is the code as it stands now that is measured.
    machine = [row for row in describe("cpu") if row[0] not in {"torch", "transformers", "fastapi", "uvicorn"}]
    compared = []
    for item in replayed(subject.server.steps):
        if options.only in {None, item.name}:
            cut = Replayed(item.name, item.told, first(item.workload, options.seconds))
            measured = measure(manifest, cut.name, cut.workload, subject.server, _tell)
            fleets = [
                forecast(subject, cut.workload, measured.start_ups_s, random_routing=chance) for chance in (False, True)
            ]
            compared.append(Compared(cut, measured, fleets[0], fleets[1]))
    picture = options.output.with_suffix(".svg")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    draw(compared, picture)
    text = page(compared, machine, CHATMODEL.read_text(encoding="utf-8"), picture.name)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(each.measured.losses for each in compared) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.replay", description=__doc__)
    parser.add_argument("--only", choices=["burst", "trace"], help="one of the two workloads")
    parser.add_argument("--seconds", type=float, default=LENGTH_S, help="only so much of each; proves nothing")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page; its picture goes beside it")
    return parser.parse_args()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
