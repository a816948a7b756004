"""Helm, as a user would type it; for generated manifests, the chart's tests and the installation into kind.

Says what is missing when there is no helm, and passes helm's own words on when it refuses.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hack.paths import ROOT, cache_dir

CHART = ROOT / "charts" / "chatscale"
RELEASE = "chatscale"
NAMESPACE = "chatscale-system"
KUBE_VERSION = "1.29.0"
"""The oldest that the chart takes: `helm template` asks no cluster, and each build of helm assumes another version."""

Values = dict[str, Any]


class HelmError(Exception):
    """Helm is missing or refused; the message is for the person at the terminal."""


def find_helm() -> Path:
    """From PATH, or what the bring-up of the kind cluster built."""
    built = cache_dir() / "bin" / "helm"
    if found := shutil.which("helm"):
        return Path(found)
    if os.access(built, os.X_OK):
        return built
    raise HelmError(
        "helm is neither on PATH nor in the cache: run `make cluster`, which provides it, or install Helm 3"
    )


def helm(*args: str, stdin: str | None = None, timeout_s: float = 60) -> str:
    """Run one command and return what it printed."""
    command = [str(find_helm()), *args]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise HelmError(f"helm {args[0]} did not end within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        raise HelmError(f"helm {args[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def template(
    values: Values | None = None,
    *,
    chart: Path = CHART,
    release: str = RELEASE,
    namespace: str = NAMESPACE,
    show_only: str | None = None,
) -> str:
    """Render the chart without a cluster; `show_only` is a path below the chart."""
    only = ["--show-only", show_only] if show_only else []
    return helm(
        *("template", release, str(chart), "--namespace", namespace, "--kube-version", KUBE_VERSION),
        *("--values", "-", *only),
        stdin=json.dumps(values or {}),
    )
