"""The recommendation that follows metric targets, where the spec names some or replicas do not count their work."""

from chatscale.scaling.decision import DecisionInput, Reason, Recommendation, reason_for
from chatscale.scaling.demand import average_demand, propose
from chatscale.scaling.state import ScalerState


def recommend_for_targets(inputs: DecisionInput, state: ScalerState) -> Recommendation:
    """Recommend the largest proposal of all metrics: a count that suits one metric may be too small for another."""
    demand = average_demand(state, inputs.spec, inputs.load.ready, inputs.now)
    in_burst = state.panic_until is not None and inputs.now < state.panic_until
    proposals = [
        propose(metric, inputs.slots, inputs.bounded, demand, inputs.spec, in_burst=in_burst)
        for metric in inputs.spec.targets
    ]
    largest = max(proposals, key=lambda proposal: proposal.replicas)
    replicas = max(largest.replicas, inputs.lower)
    message = f"{largest.message}: recommended {largest.replicas}, current {inputs.current}"
    return Recommendation(
        replicas,
        Reason.BURST if in_burst and replicas > inputs.bounded else reason_for(inputs, replicas),
        message if replicas == largest.replicas else f"{message}; {inputs.floor.because}",
        readings=tuple(proposal.value for proposal in proposals),
        in_burst=in_burst,
    )
