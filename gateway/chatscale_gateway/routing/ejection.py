"""Which replicas of one model get no requests for a while, because they failed.

An ejected replica gets requests again after its back-off, as soon as a load reading has an answer. The last replica is
never ejected: a request that may fail is better than none.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

FAULTS_TO_EJECT: Final = 3
FAULT_WINDOW_S: Final = 30.0
MISSED_READINGS_TO_EJECT: Final = 3
"""Load readings in a row without an answer."""
FIRST_BACK_OFF_S: Final = 5.0
LONGEST_BACK_OFF_S: Final = 160.0
"""The back-off doubles with each ejection, and starts again after this time without one."""


class EjectionCause(StrEnum):
    """Why a replica was ejected."""

    FAULTS = "faults"
    NO_READING = "no_reading"


@dataclass(slots=True)
class _Health:
    fault_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=FAULTS_TO_EJECT))
    missed_readings: int = 0
    ejected_until_s: float | None = None
    back_off_s: float = FIRST_BACK_OFF_S
    readmitted_s: float | None = None

    def eject(self, now_s: float) -> None:
        if self.readmitted_s is None or now_s - self.readmitted_s > LONGEST_BACK_OFF_S:
            self.back_off_s = FIRST_BACK_OFF_S
        else:
            self.back_off_s = min(2 * self.back_off_s, LONGEST_BACK_OFF_S)
        self.ejected_until_s = now_s + self.back_off_s

    def readmit(self, now_s: float) -> None:
        self.ejected_until_s = None
        self.readmitted_s = now_s
        self.fault_times_s.clear()


class Ejections:
    """The health of the replicas of one model, by pod UID.

    accepting, in all methods: UIDs of the replicas that may get new requests, ejected ones included.
    """

    __slots__ = ("_health",)

    def __init__(self) -> None:
        self._health: dict[str, _Health] = {}

    def routable(self, accepting: Collection[str]) -> list[str]:
        """The accepting replicas that are not ejected. If all are ejected, all: the last one is never left out."""
        return [uid for uid in accepting if not self.is_ejected(uid)] or list(accepting)

    def is_ejected(self, uid: str) -> bool:
        """Whether the replica waits for its back-off or its probe."""
        health = self._health.get(uid)
        return health is not None and health.ejected_until_s is not None

    def record_fault(self, uid: str, accepting: Collection[str], now_s: float) -> EjectionCause | None:
        """Count a fault; the cause if it ejects the replica. `accepting` includes the replica, if it exists."""
        if uid not in accepting or self.is_ejected(uid):
            return None
        health = self._health.setdefault(uid, _Health())
        health.fault_times_s.append(now_s)
        recent = len(health.fault_times_s) == FAULTS_TO_EJECT and now_s - health.fault_times_s[0] <= FAULT_WINDOW_S
        if not recent or not self._others(uid, accepting):
            return None
        health.eject(now_s)
        return EjectionCause.FAULTS

    def record_reading(
        self, uid: str, *, answered: bool, accepting: Collection[str], now_s: float
    ) -> EjectionCause | None:
        """Count a load reading; the cause if it ejects the replica. An answer can readmit the replica.

        A missed reading ejects only while another replica answers: otherwise the gateway's own network is suspect.
        """
        health = self._health.setdefault(uid, _Health())
        if answered:
            health.missed_readings = 0
            if health.ejected_until_s is not None and now_s >= health.ejected_until_s:
                health.readmit(now_s)
            return None
        health.missed_readings += 1
        if uid not in accepting or self.is_ejected(uid) or health.missed_readings < MISSED_READINGS_TO_EJECT:
            return None
        if not any(self._answers(other) for other in self._others(uid, accepting)):
            return None
        health.eject(now_s)
        return EjectionCause.NO_READING

    def forget_all_but(self, uids: Collection[str]) -> None:
        """Drop the health of pods that no longer exist."""
        for uid in self._health.keys() - set(uids):
            del self._health[uid]

    def _others(self, uid: str, accepting: Collection[str]) -> list[str]:
        return [other for other in accepting if other != uid and not self.is_ejected(other)]

    def _answers(self, uid: str) -> bool:
        health = self._health.get(uid)
        return health is not None and health.missed_readings == 0
