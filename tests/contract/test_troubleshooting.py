"""Every reason that a user can meet in a condition or an Event has a row in the troubleshooting guide."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatscale.observe.pods import ProblemReason
from chatscale.scaling.policy import Reason
from chatscale_gateway.discovery.key_secrets import DUPLICATE, MALFORMED
from hack.paths import ROOT

GUIDE = ROOT / "docs/guide/troubleshooting.md"
RECONCILE = ROOT / "operator/chatscale/reconcile"
NOT_REASONS = {
    "ModelLoaded", "Available", "Progressing", "ScalingActive", "RoutingReady",  # conditions; `Ready` is also a reason
    "KnowledgeReady", "ToolsReady", "ModelReady", "SettingsReady", "ReplicaFailure", "PodReadyToStartContainers",
    "Deployment", "Service", "Event", "True", "False", "Normal", "Warning",  # kinds and values of Kubernetes' own
    "User", "Operator", "ForeignAutoscaler",  # writers of the count
    "ProgressDeadlineExceeded",  # a reason of the Deployment, not of the ChatModel
}  # fmt: skip
"""CamelCase strings of the code of one pass that no condition and no Event has as its reason."""
CAMEL_CASE = re.compile(r"[A-Z]+[a-z]+([A-Z]+[a-z]*)*")


def documented_reasons() -> list[str]:
    """The first cells of the guide's tables and its headings, where they are one name in code font."""
    return re.findall(r"(?m)^(?:\| |#+ )`(\w+)`(?: \||$)", GUIDE.read_text())


def literals(path: Path) -> Iterator[str]:
    """CamelCase strings of the code."""
    # Not with `ast`: its parser fails at random under a deep stack (cpython issue 106905).
    for text in re.findall(r'"(\w+)"', path.read_text()):
        if CAMEL_CASE.fullmatch(text):
            yield text


def reasons_of_the_code() -> list[str]:
    found = {name for path in RECONCILE.rglob("*.py") for name in literals(path)}
    return sorted((found - NOT_REASONS) | set(ProblemReason) | set(Reason) | {MALFORMED, DUPLICATE})


def test_the_code_gives_the_reasons_that_the_search_must_find():
    assert {"Ready", "RollingOut", "ScaledUp", "ReplicasRestored", "WouldScale", "InvalidSpec", "DryRun"} <= set(
        reasons_of_the_code()
    )


@pytest.mark.parametrize("reason", reasons_of_the_code())
def test_the_guide_explains(reason: str):
    assert reason in documented_reasons()


def test_the_guide_explains_no_reason_twice_and_none_that_does_not_exist():
    documented = documented_reasons()
    conditions = {
        "Ready", "ModelLoaded", "Available", "Progressing", "ScalingActive", "RoutingReady",
        "KnowledgeReady", "ToolsReady", "ModelReady", "SettingsReady",
    }  # fmt: skip
    # `Ready` is a condition of both kinds and a reason, so it has three rows.
    rows = sorted(set(documented) - (conditions - {"Ready"}))

    assert rows == reasons_of_the_code()
    assert sorted(documented) == sorted([*rows, *conditions, "Ready"])
