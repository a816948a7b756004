"""Reads a ChatModel from YAML, with all that a simulation needs: replica limits, bounds and scaling."""

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
from chatscale.api.v1alpha1.routing import HoldSpec
from chatscale_contract.money import Price
from chatscale_contract.server.environment import EngineName, SimulatedProfile
from chatscale_contract.server.profiles import PROFILES
from chatscale_contract.server.slots import profile_slots
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.events import Event
from chatscale_simulator.inputs.hpa import hpa_settings
from chatscale_simulator.policies.chatscale import DEFAULT_START, ChatscalePolicy, with_prometheus_source
from chatscale_simulator.policies.hpa import Hpa
from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation.policy import Policy
from chatscale_simulator.simulation.profiles import GPUS_PER_REPLICA, SERVERS, ServerProfile, SloTarget
from chatscale_simulator.simulation.scenario import Track


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """The simulated part of one ChatModel."""

    name: str
    server: ServerProfile
    profile: str
    """Name of the step times of its replicas: M, S, or the profile of its Simulated engine."""
    gpus_per_replica: int
    """0 for CPU."""
    min_replicas: int
    max_replicas: int
    scaling: str
    """Its scaling mode and bounds, for the report."""
    slo: SloTarget
    objective_percent: int
    """Share of requests that must be within the SLO."""
    track: Track
    """The track whose metrics are closest to its own."""
    hold: HoldSpec
    """Bounds of the gateway's queue."""
    scale_to_zero: bool
    """Whether its policy may go to 0 replicas. The simulated HPA does not."""
    price: Price | None
    """`spec.price`."""
    make_policy: Callable[[Track], Policy]


def read_model(
    path: Path, profile: str | None, events: Sequence[Event] = (), starts_at: datetime | None = None
) -> SimulatedModel:
    """Read the ChatModel in a file. profile: step times, unless its Simulated engine names them.

    events: announced in addition to its own. starts_at: wall clock at second 0, for its own events; aware.
    Raises InputError.
    """
    model = _read(path)
    spec, scaling = model.spec, model.spec.autoscaling
    base, named = SERVERS[profile or "S"], _named_steps(model) if profile is None else None
    steps = PROFILES[named] if named else base.steps
    fixed = scaling.mode is AutoscalingMode.FIXED
    server = replace(
        base,
        steps=steps,
        max_sequences=spec.server.max_concurrency or profile_slots(steps, scaling.slo.tpot_milliseconds / 1000),
        max_queue=spec.server.max_queue,
        queue_timeout_s=float(spec.server.queue_timeout_seconds),
    )
    return SimulatedModel(
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
        hold=spec.routing.hold,
        scale_to_zero=scaling.mode is AutoscalingMode.OPERATOR and scaling.scale_to_zero is not None,
        price=spec.price.as_price() if spec.price else None,
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
    """Step times closer than profile S: those of its Simulated engine, or of the one measured CPU."""
    if model.spec.server.engine is EngineName.SIMULATED:
        return model.spec.server.simulated.profile
    return SimulatedProfile.SMOLLM2_135M_CPU if model.spec.device is Device.CPU else None


def _gpus(model: ChatModel, default: int) -> int:
    """The sum of its extended resources, such as nvidia.com/gpu."""
    if model.spec.device is Device.CPU and model.spec.server.engine is not EngineName.SIMULATED:
        return 0
    gpus = [int(str(count)) for name, count in (model.spec.resources.limits or {}).items() if "/" in name]
    return sum(gpus) if gpus else default


def _track(model: ChatModel) -> Track:
    scaling = model.spec.autoscaling
    reads_pods = scaling.mode is AutoscalingMode.OPERATOR and scaling.source.type is SourceType.POD_SCRAPE
    return Track.NATIVE if reads_pods else Track.EQUAL


def _policy_maker(
    path: Path, model: ChatModel, server: ServerProfile, events: Sequence[Event], starts_at: datetime | None
) -> Callable[[Track], Policy]:
    scaling, start = model.spec.autoscaling, starts_at or DEFAULT_START
    if scaling.events and starts_at is None:
        raise InputError(f"{path}: spec.autoscaling.events need --starts-at, the wall clock at the start of the trace")
    all_events = [*scaling.events, *(event.at(start) for event in events)]
    if all_events and scaling.mode is not AutoscalingMode.OPERATOR:
        raise InputError(f"{path}: events can be simulated in mode Operator only, found mode {scaling.mode.value}")
    match scaling.mode:
        case AutoscalingMode.OPERATOR:
            announced = scaling.model_copy(update={"events": all_events})
            specs = {Track.NATIVE: announced, Track.EQUAL: with_prometheus_source(announced)}
            return lambda track: ChatscalePolicy(specs[track], server.max_sequences, starts_at=start)
        case AutoscalingMode.FIXED:
            return lambda _: Static(StaticSettings(replicas=model.spec.replicas))
        case AutoscalingMode.HPA:
            settings = hpa_settings(model, server)
            return lambda _: Hpa(settings)
        case _:
            assert_never(scaling.mode)
