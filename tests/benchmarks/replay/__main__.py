"""`python -m tests.benchmarks.replay`: runs traffic on the kind cluster, and compares it with the forecast.

Writes docs/benchmarks/replay.md. Needs the installed chart (`make install`), about 20 minutes and an idle machine.
"""

import argparse
import sys
from pathlib import Path

import yaml

from chatscale_simulator.inputs.chatmodel import read_model
from chatscale_simulator.simulation.scenario import Routing
from hack.paths import ROOT
from tests.benchmarks.replay.forecast import forecast
from tests.benchmarks.replay.measure import measure
from tests.benchmarks.replay.page import Compared, draw, page
from tests.benchmarks.replay.traffic import LENGTH_S, Replayed, first, replayed
from tests.benchmarks.server.machine import describe

CHATMODEL = Path(__file__).parent / "chatmodel.yaml"
PAGE = ROOT / "docs" / "benchmarks" / "replay.md"


def main() -> int:
    """Replay, forecast and compare. Returns 0 unless a request was lost."""
    options = _options()
    model = read_model(CHATMODEL, None)
    manifest = yaml.safe_load(CHATMODEL.read_text(encoding="utf-8"))
    # First: the revision of the code that is measured.
    machine = [row for row in describe("cpu") if row[0] not in {"torch", "transformers", "fastapi", "uvicorn"}]
    compared = []
    for item in replayed(model.server.steps):
        if options.only in {None, item.name}:
            cut = Replayed(item.name, item.told, first(item.workload, options.seconds))
            measured = measure(manifest, cut.name, cut.workload, model.server, _tell)
            fleets = [
                forecast(model, cut.workload, measured.start_ups_s, routing)
                for routing in (Routing.LEAST_LOADED, Routing.SERVICE)
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
    parser.add_argument(
        "--seconds", type=float, default=LENGTH_S, help="only the first seconds of each workload, for a quick check"
    )
    parser.add_argument("--output", type=Path, default=PAGE, help="the page; its picture goes beside it")
    return parser.parse_args()


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
