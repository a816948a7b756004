"""A ChatModel's YAML as something to simulate: its replicas' limits, its bounds, and how it scales."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, assert_never

import yaml

from chatscale.api.v1alpha1 import (
    KIND,
    AutoscalingMode,
    ChatModel,
    Device,
    InvalidSpecError,
    SourceType,
    parse_chatmodel,
)
from chatscale_contract.server.environment import EngineName, SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.events import Event
from chatscale_simulator.inputs.hpa import hpa_settings
from chatscale_simulator.policies.hpa import Hpa
from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation.outcome import Track
from chatscale_simulator.simulation.profiles import GPUS_PER_REPLICA, SERVERS, ServerProfile, SloTarget
from chatscale_simulator.simulation.shipping import STARTS_AT, Shipping, as_scraped
from chatscale_simulator.simulation.view import Policy


@dataclass(frozen=True, slots=True)
class Subject:
    """What is simulated of one ChatModel."""

    name: str
    server: ServerProfile
    profile: str
    """Whose step times its replicas are given: M, S, or what its Simulated engine rehearses."""
    gpus_per_replica: int
    """0 on CPUs."""
    min_replicas: int
    max_replicas: int
    scaling: str
    """How it scales, in a few words."""
    slo: SloTarget
    objective_percent: int
    """Share of requests that are promised to be within the SLO."""
    track: Track
    """Whose signals come nearest to its own."""
    make_policy: Callable[[Track], Policy]


def read_subject(
    path: Path, profile: str | None, events: Sequence[Event] = (), starts_at: datetime | None = None
) -> Subject:
    """Read the one ChatModel in a file. profile: step times, unless its Simulated engine names them.

    events: announced beside its own. starts_at: the wall clock at second 0, by which its own are due; aware.
    Raises InputError.
    """
    model = _read(path)
    spec, scaling = model.spec, model.spec.autoscaling
    base, named = SERVERS[profile or "S"], _named_steps(model) if profile is None else None
    fixed = scaling.mode is AutoscalingMode.FIXED
    server = replace(
        base,
        steps=PROFILES[named] if named else base.steps,
        max_sequences=spec.server.max_concurrency,
        max_queue=spec.server.max_queue,
        queue_timeout_s=float(spec.server.queue_timeout_seconds),
    )
    return Subject(
        name=model.metadata.name,
        server=server,
        profile=named.value if named else profile or "S",
        gpus_per_replica=_gpus(model, GPUS_PER_REPLICA[profile or "S"]),
        min_replicas=spec.replicas if fixed else scaling.min_replicas,
        max_replicas=spec.replicas if fixed else scaling.max_replicas or scaling.min_replicas,
        scaling=f"{spec.replicas} fixed replicas" if fixed else f"mode {scaling.mode.value}, {_bounds(model)}",
        slo=SloTarget(ttft_s=scaling.slo.ttft_milliseconds / 1000, tpot_s=scaling.slo.tpot_milliseconds / 1000),
        objective_percent=scaling.slo.objective_percent,
        track=_track(model),
        make_policy=_policy_maker(path, model, server, events, starts_at),
    )


def _read(path: Path) -> ChatModel:
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read, {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: must be YAML, {' '.join(str(error).split())}") from error
    found = [each for each in documents if isinstance(each, dict) and each.get("kind") == KIND]
    if len(found) != 1:
        raise InputError(f"{path}: must hold one object of kind {KIND}, found {len(found)}")
    manifest: dict[str, Any] = found[0]
    metadata = {"namespace": "default", **(manifest.get("metadata") or {})}
    if not metadata.get("name"):
        raise InputError(f"{path}: metadata.name must be a name, found nothing")
    whole = {**manifest, "metadata": metadata, "status": {}}
    try:
        return parse_chatmodel(whole)
    except InvalidSpecError as error:
        raise InputError(f"{path}: {error}") from error


def _bounds(model: ChatModel) -> str:
    return f"{model.spec.autoscaling.min_replicas} to {model.spec.autoscaling.max_replicas} replicas"


def _named_steps(model: ChatModel) -> SimulatedProfile | None:
    """Step times that fit better than profile S: what it rehearses, or the one CPU that was measured."""
    if model.spec.server.engine is EngineName.SIMULATED:
        return model.spec.server.simulated.profile
    return SimulatedProfile.SMOLLM2_135M_CPU if model.spec.device is Device.CPU else None


def _gpus(model: ChatModel, default: int) -> int:
    """What its containers ask of extended resources, such as nvidia.com/gpu."""
    if model.spec.device is Device.CPU and model.spec.server.engine is not EngineName.SIMULATED:
        return 0
    asked = [int(str(count)) for name, count in (model.spec.resources.limits or {}).items() if "/" in name]
    return sum(asked) if asked else default


def _track(model: ChatModel) -> Track:
    scaling = model.spec.autoscaling
    reads_pods = scaling.mode is AutoscalingMode.OPERATOR and scaling.source.type is SourceType.POD_SCRAPE
    return Track.NATIVE if reads_pods else Track.EQUAL


def _policy_maker(
    path: Path, model: ChatModel, server: ServerProfile, events: Sequence[Event], starts_at: datetime | None
) -> Callable[[Track], Policy]:
    scaling, start = model.spec.autoscaling, starts_at or STARTS_AT
    if scaling.events and starts_at is None:
        raise InputError(
            f"{path}: spec.autoscaling.events are at times of the day: --starts-at must say when the trace begins"
        )
    told = [*scaling.events, *(event.at(start) for event in events)]
    if told and scaling.mode is not AutoscalingMode.OPERATOR:
        raise InputError(f"{path}: events can be simulated in mode Operator only, found mode {scaling.mode.value}")
    match scaling.mode:
        case AutoscalingMode.OPERATOR:
            announced = scaling.model_copy(update={"events": told})
            specs = {Track.NATIVE: announced, Track.EQUAL: as_scraped(announced)}
            return lambda track: Shipping(specs[track], server.max_sequences, starts_at=start)
        case AutoscalingMode.FIXED:
            return lambda _: Static(StaticSettings(replicas=model.spec.replicas))
        case AutoscalingMode.HPA:
            settings = hpa_settings(model, server.steps.kv_tokens)
            return lambda _: Hpa(settings)
        case _:
            assert_never(scaling.mode)
