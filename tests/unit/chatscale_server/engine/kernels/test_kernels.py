"""The GPU kernels compute what torch computes."""

import subprocess
import sys

from hack.paths import ROOT


def test_kernels_equal_their_definitions():
    """In Triton's interpreter, which must be chosen before Triton is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.chatscale_server.engine.kernels.interpreted"],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
