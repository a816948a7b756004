"""How property tests run: without clocks, since these machines are shared and the tiers run side by side.

`make test` draws the same examples in every run, so a change never fails by an example that has nothing to do with it.
`make properties` searches: other examples in each run, and more of them where a test sets no number of its own.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.parallel import ClusterScheduling, position

settings.register_profile(
    "shared-machine", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


@pytest.hookimpl(optionalhook=True)  # only xdist has it
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ClusterScheduling | None:
    return ClusterScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: position(item.path.relative_to(config.rootpath).as_posix()))
