"""Creates the engine that the settings select. Only that one is imported, because importing torch takes seconds."""

from typing import assert_never

from chatscale_contract.server.environment import EngineName
from chatscale_server.engine.protocol import Engine
from chatscale_server.settings import Settings


def build_engine(settings: Settings) -> Engine:
    """The engine, not yet loaded."""
    match settings.engine:
        case EngineName.SIMULATED:
            from chatscale_contract.server.profiles import PROFILES
            from chatscale_server.engine.simulated import SimulatedEngine

            return SimulatedEngine(
                PROFILES[settings.simulated_profile],
                slots=settings.max_concurrency,
                tpot_s=settings.slo_tpot_milliseconds / 1000,
                startup_s=settings.simulated_startup_s,
                max_model_len=settings.max_model_len,
            )
        case EngineName.TRANSFORMERS:
            from chatscale_server.engine.transformers_engine import TransformersEngine

            return TransformersEngine(settings)
        case unreachable:
            assert_never(unreachable)
