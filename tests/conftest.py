"""How property tests run: without clocks, since these machines are shared and the tiers run side by side.

`make test` draws the same examples in every run, so a change never fails by an example that has nothing to do with it.
`make properties` searches: other examples in each run, and more of them where a test sets no number of its own.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared-machine", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")
