"""The program of `chatscale evaluate`: runs the suites, prints each number as it comes, and writes the report."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chatscale_assistant.errors import AssistantError, SourceError
from chatscale_assistant.evaluation import machine
from chatscale_assistant.evaluation.datasets import PACKAGES, Package, dataset
from chatscale_assistant.evaluation.measurement import Measurement, Missing
from chatscale_assistant.evaluation.model_suite import QUESTIONS
from chatscale_assistant.evaluation.options import SUITES
from chatscale_assistant.evaluation.report import Machine, ModelResult, Report
from chatscale_assistant.evaluation.suites import MODEL_SUITE, RUN, Keys, Plan
from chatscale_assistant.upstream.weights import NotKnown
from chatscale_contract.sysexits import SysExit

MISSED: Final = 1
"""Exit code of `--strict` if a must is missed, a suite did not run, or all questions let the model not pass."""


class ModelUnusableError(Exception):
    """A model that a flag names does not answer: the run does not start."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The locations that the API of the model stated before and after its suite."""

    before: str | NotKnown = ""
    after: str | NotKnown = ""

    def problem(self) -> str:
        """Why the numbers do not belong to weights that a pod can recognise; empty if they do."""
        if self.before == self.after and isinstance(self.before, str):
            return ""
        before, after = (_location(each) for each in (self.before, self.after))
        if before == after:
            return f"the location of its weights is {before}"
        return f"the location of its weights was {before} before the suite and {after} after it"


def _location(weights: str | NotKnown) -> str:
    if isinstance(weights, NotKnown):
        return f"not known ({weights.reason})"
    return repr(weights) if weights else "not stated"


def evaluate(options: argparse.Namespace) -> int:
    """Run, write the files, and return the exit code."""
    if wrong := _wrong(options):
        sys.stderr.write(f"chatscale: {wrong}\n")
        return SysExit.BAD_SETTINGS
    try:
        keys = Keys(_key(options, "key_file"), _key(options, "user_key_file"))
    except _UnreadableKeyError as e:
        sys.stderr.write(f"chatscale: {e}\n")
        return SysExit.BAD_SETTINGS
    try:
        report = asyncio.run(_run(options, keys))
    except ModelUnusableError as e:
        sys.stderr.write(f"chatscale: {e}\n")
        return SysExit.UNAVAILABLE
    for each in report.misses:
        sys.stdout.write(f"missed: {_line(each)}\n")
    for missing in report.missing:
        sys.stdout.write(f"did not run: {missing.suite}: {missing.reason}\n")
    ran = any(each.suite == MODEL_SUITE for each in report.measurements)
    refused = [(name, found.reason) for name, found in report.models.items() if ran and not found.passed]
    for name, reason in refused:
        sys.stdout.write(f"did not pass: {name}: {reason}\n")
    failed = refused and not _is_sample(options)
    return MISSED if options.strict and (report.misses or report.missing or failed) else 0


class _UnreadableKeyError(Exception):
    """Names flag, file and cause."""


def _key(options: argparse.Namespace, name: str) -> str:
    file: Path | None = getattr(options, name)
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        found = e.strerror if isinstance(e, OSError) else "expected text in UTF-8"
        raise _UnreadableKeyError(f"--{name.replace('_', '-')} {file}: {found}") from e


def _wrong(options: argparse.Namespace) -> str:
    """What is wrong with the flags; empty if they are right."""
    if bool(options.model) != bool(options.model_name):
        return "--model and --model-name belong together"
    if options.tau2 and not options.model:
        return "--tau2 needs --model"
    if bool(options.user_model) != bool(options.user_model_name):
        return "--user-model and --user-model-name belong together"
    if options.user_key_file and not options.user_model:
        return "--user-key-file needs --user-model"
    for flag, file in (("--json", options.json), ("--page", options.page)):
        if file and (file.is_dir() or not file.parent.is_dir()):
            return f"{flag} {file}: expected a file in a folder that exists"
    return ""


async def _run(options: argparse.Namespace, keys: Keys) -> Report:
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
            models=_model_results(options, weights, measurements, missing),
        )

    chosen = [name for name in SUITES if not options.suite or name in options.suite]
    if not options.model:
        chosen = [name for name in chosen if name != MODEL_SUITE]
    measurements: list[Measurement] = []
    missing: list[Missing] = []
    weights = Weights()
    with tempfile.TemporaryDirectory(prefix="chatscale-evaluate-") as folder:
        async with Plan(data=data, folder=Path(folder), options=options, keys=keys) as plan:
            if MODEL_SUITE in chosen:
                weights = Weights(before=await _check_models(plan))
            for name in chosen:
                await _run_suite(name, plan, measurements, missing)
                if name == MODEL_SUITE:
                    weights = replace(weights, after=await (await plan.model()).weights())
                _write(options, report())
    return report()


async def _check_models(plan: Plan) -> str | NotKnown:
    """The location of the model's weights before the first suite.

    Raises ModelUnusableError if a model does not write, so a wrong address or key does not cost a whole run.
    """
    try:
        for model in (await plan.model(), *([await plan.user_model()] if plan.options.tau2 else ())):
            await model.check()
    except SourceError as e:
        raise ModelUnusableError(str(e)) from e
    return await (await plan.model()).weights()


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
    options: argparse.Namespace, weights: Weights, measurements: list[Measurement], missing: list[Missing]
) -> dict[str, ModelResult]:
    """Whether the named model may phrase answers: it reached every must of its whole suite, with the same weights."""
    if not options.model:
        return {}
    own = [each for each in measurements if each.suite == MODEL_SUITE]
    failed = [f"its suite did not end: {each.reason}" for each in missing if each.suite == MODEL_SUITE]
    if not failed and not own:
        failed = ["its suite did not run"]
    elif not failed and _is_sample(options):
        failed = [f"a sample of {options.sample} questions does not decide, {QUESTIONS} do: run it without --sample"]
    elif not failed:
        failed = [f"{each.name} is {each.value:.3f}, must be {each.must}" for each in own if each.reached is False]
    if own and (problem := weights.problem()):
        failed.append(problem)
    reason = "; ".join(failed) or "it reached every must of its suite"
    location = weights.before if isinstance(weights.before, str) else ""
    return {options.model_name: ModelResult(not failed, reason, options.model, location)}


def _is_sample(options: argparse.Namespace) -> bool:
    """True if the model suite has not all questions."""
    return bool(options.sample) and options.sample < QUESTIONS


def _line(each: Measurement) -> str:
    must = "" if each.must is None else f", must {each.must:g}: {'reached' if each.reached else 'MISSED'}"
    language = f" ({each.language})" if each.language else ""
    interval = f"{each.low:.4g} to {each.high:.4g}, n {each.n}"
    return f"{each.suite}: {each.name}{language}: {each.value:.4g} [{interval}]{must}"
