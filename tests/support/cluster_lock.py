"""Tests share one cluster and its one operator; a few of them need it for themselves.

Works across the processes of a parallel run. Who needs the operator alone goes first: while one waits, nobody
else begins, so it waits for the running tests only.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.paths import cache_dir


@contextmanager
def operator_shared() -> Iterator[None]:
    """Others may use the operator meanwhile, and nobody takes it away."""
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def operator_alone() -> Iterator[None]:
    """Nobody else uses the operator meanwhile: it may be stopped, replaced or uninstalled."""
    with _locked(fcntl.LOCK_EX):
        yield


@contextmanager
def printed_port() -> Iterator[None]:
    """Nobody else forwards port 8080 of this machine meanwhile, which guides and demos print."""
    with _path("port-8080").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _locked(how: int) -> Iterator[None]:
    with _path("operator").open("a") as lock:
        with _path("operator-gate").open("a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(lock, how)
        yield


def _path(name: str) -> Path:
    return cache_dir() / f"{name}.lock"
