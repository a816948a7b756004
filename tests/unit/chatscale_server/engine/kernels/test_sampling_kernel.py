"""The Triton kernel chooses the tokens of the definition, checked without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("sampling_kernel_cases.py")


def test_the_kernel_samples_as_defined():
    """Triton's interpreter must be chosen before Triton is imported, so the cases run in a process of their own."""
    # Infinite logits are valid; numpy warns where the interpreter subtracts them.
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(CASES),
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::RuntimeWarning",
    ]
    done = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
