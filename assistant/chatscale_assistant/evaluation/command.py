"""The program of `chatscale evaluate`: runs the suites, prints each number as it comes, and writes the report."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatscale_assistant.errors import AssistantError
from chatscale_assistant.evaluation import machine
from chatscale_assistant.evaluation.datasets import PACKAGES, Package, dataset
from chatscale_assistant.evaluation.measurement import Measurement, Missing
from chatscale_assistant.evaluation.options import SUITES
from chatscale_assistant.evaluation.report import Machine, ModelResult, Report
from chatscale_assistant.evaluation.suites import MODEL_SUITE, RUN, Plan
from chatscale_contract.sysexits import SysExit

MISSED: Final = 1
"""Exit code of `--strict` if a must is missed or a suite did not run."""


def evaluate(options: argparse.Namespace) -> int:
    """Run, write the files, and return the exit code."""
    if bool(options.model) != bool(options.model_name):
        sys.stderr.write("chatscale: --model and --model-name belong together\n")
        return SysExit.BAD_SETTINGS
    try:
        key = options.key_file.read_text(encoding="utf-8").strip() if options.key_file else ""
    except OSError as e:
        sys.stderr.write(f"chatscale: --key-file {options.key_file}: {e.strerror}\n")
        return SysExit.BAD_SETTINGS
    report = asyncio.run(_run(options, key))
    for each in report.misses:
        sys.stdout.write(f"missed: {_line(each)}\n")
    for missing in report.missing:
        sys.stdout.write(f"did not run: {missing.suite}: {missing.reason}\n")
    return MISSED if options.strict and (report.misses or report.missing) else 0


async def _run(options: argparse.Namespace, key: str) -> Report:
    """Run the suites. The files are written after each of them, so an interrupted run keeps its numbers."""
    started, load = time.monotonic(), machine.load_average()
    used: dict[str, Package] = {}

    def data(name: str) -> Path:
        used[name] = PACKAGES[name]
        return dataset(name)

    def report() -> Report:
        return Report(
            at=datetime.fromtimestamp(time.time(), UTC),
            revision=machine.revision(),
            took_s=time.monotonic() - started,
            sample=options.sample,
            machine=Machine(
                cpu=machine.cpu_name(),
                cores=machine.usable_cores(),
                python=sys.version.split()[0],
                load_before=load,
                load_after=machine.load_average(),
            ),
            packages=tuple(used.values()),
            measurements=tuple(measurements),
            missing=tuple(missing),
            models=_model_results(options, measurements, missing),
        )

    chosen = [name for name in SUITES if not options.suite or name in options.suite]
    if not options.model:
        chosen = [name for name in chosen if name != MODEL_SUITE]
    measurements: list[Measurement] = []
    missing: list[Missing] = []
    with tempfile.TemporaryDirectory(prefix="chatscale-evaluate-") as folder:
        async with Plan(data=data, folder=Path(folder), options=options, key=key) as plan:
            for name in chosen:
                await _run_suite(name, plan, measurements, missing)
                _write(options, report())
    return report()


def _write(options: argparse.Namespace, report: Report) -> None:
    if options.json:
        options.json.write_text(f"{json.dumps(report.to_json(), ensure_ascii=False, indent=1)}\n", encoding="utf-8")
    if options.page:
        options.page.write_text(report.to_page(), encoding="utf-8")


async def _run_suite(name: str, plan: Plan, measurements: list[Measurement], missing: list[Missing]) -> None:
    started = time.monotonic()
    try:
        async for each in RUN[name](plan):
            measurements.append(each)
            sys.stdout.write(f"{_line(each)}\n")
            sys.stdout.flush()
    except AssistantError as e:
        missing.append(Missing(name, str(e)))
    except Exception as e:  # noqa: BLE001 - one suite must not end the run
        traceback.print_exc()
        missing.append(Missing(name, f"{type(e).__name__}: {e}"))
    sys.stdout.write(f"{name}: {time.monotonic() - started:.0f} s\n")


def _model_results(
    options: argparse.Namespace, measurements: list[Measurement], missing: list[Missing]
) -> dict[str, ModelResult]:
    """Whether the named model may phrase answers: it reached every must of its own suite, and that suite ran."""
    if not options.model:
        return {}
    own = [each for each in measurements if each.suite == MODEL_SUITE]
    if not own or any(each.suite == MODEL_SUITE for each in missing):
        return {options.model_name: ModelResult(passed=False, reason="its suite did not run", url=options.model)}
    missed = [f"{each.name} is {each.value:.3f}, must be {each.must}" for each in own if each.reached is False]
    reason = "; ".join(missed) or "it reached every must of its suite"
    return {options.model_name: ModelResult(passed=not missed, reason=reason, url=options.model)}


def _line(each: Measurement) -> str:
    must = "" if each.must is None else f", must {each.must:g}: {'reached' if each.reached else 'MISSED'}"
    language = f" ({each.language})" if each.language else ""
    interval = f"{each.low:.4g} to {each.high:.4g}, n {each.n}"
    return f"{each.suite}: {each.name}{language}: {each.value:.4g} [{interval}]{must}"
