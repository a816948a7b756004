"""What keeps a wish from becoming a count: ignorance, bursts, `behavior`, bounds, and what the cluster can run."""

from dataclasses import replace
from datetime import timedelta

from chatscale.scaling.capacity import find_shortage
from chatscale.scaling.decision import Case, Reason, Wish
from chatscale.scaling.state import ScalerState


def hold_unknown(case: Case, wish: Wish, state: ScalerState, *, in_panic: bool) -> Wish:
    """No lowering on what is not known, and none in a burst."""
    load, window_s = case.load, case.spec.window_seconds
    if wish.replicas >= case.bounded:
        return wish
    if load.unread:
        unread = f"{len(load.unread)} of {load.ready} ready replicas could not be read ({', '.join(load.unread[:3])})"
        return wish.bent(case.bounded, Reason.METRICS_INCOMPLETE, f"not lowered: {unread}")
    if in_panic:
        return wish.bent(case.bounded, Reason.STABILIZING, f"not lowered within {window_s} s of a burst")
    if not state.has_watched(case.window, case.now):
        because = f"not lowered before every replica was read for {window_s} s"
        return wish.bent(case.bounded, Reason.STABILIZING, because)
    return wish


def limit(case: Case, wish: Wish, state: ScalerState) -> Wish:
    """Through `behavior`, the upper bound and what the cluster can run, in this order."""
    behavior, history, bounded = case.spec.behavior, state.history, case.bounded
    stable = history.stabilized(bounded, behavior, case.now)
    rules = behavior.scale_down if stable > wish.replicas else behavior.scale_up
    because = f"{stable} is what the last {rules.stabilization_window_seconds} s agree on"
    wish = wish.bent(stable, Reason.STABILIZING if stable == bounded else wish.reason, because)
    slow = history.rate_limited(bounded, wish.replicas, behavior, case.now)
    because = f"{slow} is what behavior allows for now"
    wish = wish.bent(slow, Reason.RATE_LIMITED if slow == bounded else wish.reason, because)
    wish = wish.bent(min(wish.replicas, case.upper), Reason.TOO_MANY_REPLICAS, f"maxReplicas is {case.upper}")
    return _within_capacity(case, wish)


def _within_capacity(case: Case, wish: Wish) -> Wish:
    """Pods that cannot run may be withdrawn at once; nothing that runs is lost by it."""
    shortage = find_shortage(case.seen, timedelta(seconds=case.spec.pending_timeout_seconds), case.now)
    if shortage is None or wish.replicas <= shortage.most_useful:
        return wish
    floor = case.bounded if case.load.unread else case.lower
    return Wish(
        min(wish.replicas, max(shortage.most_useful, floor)),
        Reason(shortage.reason),
        f"{wish.message}; {shortage.message}",
    )


def blame_shortage(case: Case, wish: Wish) -> Wish:
    """Where nothing is ready the load is unknown and the count stays, but the cause may be known."""
    shortage = find_shortage(case.seen, timedelta(seconds=case.spec.pending_timeout_seconds), case.now)
    if shortage is None:
        return wish
    return replace(wish, reason=Reason(shortage.reason), message=f"{wish.message}; {shortage.message}")
