"""What gateways report, and a source of demand that a test sets."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chatscale.scaling.signals import ClientCounters, ClientDemand
from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand


def a_report(instance: str = "one", wake_seq: int = 0, model: str = "demo/tiny", **demand: Any) -> GatewayDemand:
    return GatewayDemand(
        gateway="gw", instance=instance, wake_seq=wake_seq, draining=False, models={model: ModelDemand(**demand)}
    )


@dataclass
class FakeGateways:
    """A `DemandSource`: one gateway that is always current, until the test changes `now`."""

    found: ClientDemand = field(
        default_factory=lambda: ClientDemand(datetime.min, gateways=1, is_current=True)  # noqa: DTZ901 - replaced
    )
    forgotten: list[str] = field(default_factory=list)

    def sees(self, **changes: Any) -> None:
        """Change gauges by name; counters by the names of `ClientCounters`."""
        names = ClientCounters.__dataclass_fields__
        counters = {name: value for name, value in changes.items() if name in names}
        gauges = {name: value for name, value in changes.items() if name not in names}
        self.found = replace(self.found, counters=replace(self.found.counters, **counters), **gauges)

    def demand(self, _model: str, now: datetime) -> ClientDemand:
        return replace(self.found, taken_at=now)

    def forget(self, model: str) -> None:
        self.forgotten.append(model)
