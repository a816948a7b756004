"""Errors that end a command with one line on standard error."""

from typing import ClassVar

from chatscale_contract.sysexits import SysExit


class CommandError(Exception):
    """The command cannot do what its arguments say; the message names object, expectation and found value."""

    exit_code: ClassVar[SysExit] = SysExit.BAD_SETTINGS


class ClusterError(CommandError):
    """There is no kubeconfig, the API server does not answer, or it denies the request."""

    exit_code: ClassVar[SysExit] = SysExit.UNAVAILABLE


class GatewayError(CommandError):
    """The gateway cannot be reached, or it refuses the request."""

    exit_code: ClassVar[SysExit] = SysExit.UNAVAILABLE


class KeyRefusedError(GatewayError):
    """The request has no API key, or one that the gateway does not accept."""


class UnknownModelError(GatewayError):
    """No model that the key opens has this name."""
