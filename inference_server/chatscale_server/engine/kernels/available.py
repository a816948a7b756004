"""Whether Triton works here. It needs a C compiler, which only images for GPUs contain."""

import logging
from functools import cache

import torch

from chatscale_server.logs import where

log = logging.getLogger(__name__)


@cache
def kernels_work() -> bool:
    """Compile and run a small kernel on the current GPU. Without kernels torch computes the same, but slower."""
    try:
        from chatscale_server.engine.kernels.layers import silu_mul

        silu_mul(torch.ones(1, 32, device="cuda", dtype=torch.bfloat16)).sum().item()
    except Exception as error:  # noqa: BLE001 - Triton raises any error if a compiler or a library is missing
        log.warning("GPU kernels not used", extra={"reason": str(error), **where(error)})
        return False
    return True
