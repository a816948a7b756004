"""The conditions of a ShopAssistant, computed from the result of a pass. Pure. True is always the good state.

`Ready` follows the pods: an assistant without one of its sources, tools or its model still answers, from the rest.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from chatscale.api.v1alpha1 import ConditionStatus
from chatscale.api.v1alpha1.shopassistant import KnowledgeSource, ModelWriting, ToolServer
from chatscale.desired.assistant.volumes import named_secrets
from chatscale.observe.pods import ProblemReason, current_problem, refusal_of_pods
from chatscale.reconcile.chatmodel.conditions import ready_count
from chatscale.reconcile.conditions import ConditionState
from chatscale.reconcile.refusal import FORBIDDEN, INVALID_SPEC
from chatscale.reconcile.shopassistant.pass_result import PassResult
from chatscale.reconcile.shopassistant.pins import pin_of, reported_digests
from chatscale.reconcile.shopassistant.watches import is_ready, ready_condition
from chatscale_contract.assistant.state import AssistantState

NAME_TAKEN: Final = "NameTaken"
VOLUMES_NOT_READY: Final = "VolumesNotReady"
SOURCE_UNUSABLE: Final = "SourceUnusable"
TOOL_SERVER_UNUSABLE: Final = "ToolServerUnusable"
DESCRIPTIONS_CHANGED: Final = "DescriptionsChanged"
CHAT_MODEL_NOT_FOUND: Final = "ChatModelNotFound"
CHAT_MODEL_NOT_READY: Final = "ChatModelNotReady"
MODEL_MAY_NOT_WRITE: Final = "ModelMayNotWrite"
SETTING_UNUSABLE: Final = "SettingUnusable"
NOT_REPORTED: Final = "NotReported"

BAD_REASONS: Final = frozenset(
    {
        INVALID_SPEC,
        FORBIDDEN,
        NAME_TAKEN,
        VOLUMES_NOT_READY,
        SOURCE_UNUSABLE,
        TOOL_SERVER_UNUSABLE,
        DESCRIPTIONS_CHANGED,
        SETTING_UNUSABLE,
        CHAT_MODEL_NOT_FOUND,
        *ProblemReason,
    }
)
"""Reasons that cause a Warning when they appear."""
VOLUMES_USUALLY_TAKE: Final = timedelta(seconds=20)
"""A pod that waits for its volumes for longer probably names a Secret or a key that does not exist."""
_SHOWN: Final = 3
"""Causes that one message names; more would not help."""


def compute_conditions(result: PassResult) -> list[ConditionState]:
    """All, in the order in which the status lists them."""
    return [
        _ready(result),
        _knowledge_ready(result),
        _tools_ready(result),
        _model_ready(result),
        _settings_ready(result),
    ]


def _ready(result: PassResult) -> ConditionState:
    ready, desired = len(result.ready_pods), result.replicas
    count, key = ready_count(ready, desired), result.assistant.key
    if result.refusal:
        return _condition("Ready", ConditionStatus.FALSE, result.refusal.reason, result.refusal.message)
    if result.namesake:
        message = f"ChatModel {key} has the same name, and the gateway sends requests to it: rename ShopAssistant {key}"
        return _condition("Ready", ConditionStatus.FALSE, NAME_TAKEN, message)
    if ready >= desired:
        return _condition("Ready", ConditionStatus.TRUE, "Ready", count)
    status = ConditionStatus.TRUE if ready else ConditionStatus.FALSE
    if problem := current_problem(result.pods) or refusal_of_pods(result.deployment):
        return _condition("Ready", status, problem.reason, f"{count}: {problem.message}")
    if waiting := _missing_volumes(result):
        return _condition("Ready", status, VOLUMES_NOT_READY, f"{count}: {waiting}")
    why = "; ".join(_reasons_for_starting(result))
    return _condition("Ready", status, "PartlyReady" if ready else "Starting", f"{count}: {why}" if why else count)


def _missing_volumes(result: PassResult) -> str:
    """Why a pod on a node does not start, if the cause can be a missing Secret. The operator may not read Secrets."""
    waiting = [name for name, began in result.volume_waits.items() if result.now - began >= VOLUMES_USUALLY_TAKE]
    secrets = [f"{field}: Secret {ref.name}, key {ref.key}" for field, ref in named_secrets(result.assistant).items()]
    if not waiting:
        return ""
    pod = min(waiting)
    needed = f"; check that these exist: {', '.join(secrets)}" if secrets else ""
    return (
        f"the volumes or the network of pod {pod} are not ready after {VOLUMES_USUALLY_TAKE.seconds} s{needed}; "
        f"`kubectl describe pod {pod}` names the missing object"
    )


def _reasons_for_starting(result: PassResult) -> list[str]:
    """What pods that are not Ready report."""
    ready = {pod.name for pod in result.ready_pods}
    states = [(name, state) for name, state in sorted(result.reading.states.items()) if name not in ready]
    reported = [
        f"pod {name}: source {source.name}: {source.message}"
        for name, state in states
        for source in state.sources
        if source.message
    ]
    unread = [f"pod {name}: {why}" for name, why in sorted(result.reading.failures.items()) if name not in ready]
    return (reported or unread)[:1]


def _knowledge_ready(result: PassResult) -> ConditionState:
    kind, sources = "KnowledgeReady", result.assistant.spec.knowledge
    if not sources:
        message = "spec.knowledge is empty: answers come from tools and curated replies only"
        return _condition(kind, ConditionStatus.TRUE, "NoKnowledge", message)
    if faults := [fault for source in sources if (fault := _fault_of(result, source))]:
        return _condition(kind, ConditionStatus.FALSE, SOURCE_UNUSABLE, _joined(faults))
    states = result.known_states
    if not states:
        return _condition(kind, ConditionStatus.UNKNOWN, NOT_REPORTED, _why_not_reported(result))
    if not all(state.index for state in states.values()):
        return _condition(kind, ConditionStatus.FALSE, "Indexing", "the first index is not complete in every pod")
    return _index_in_use(len(sources), list(states.values()))


def _index_in_use(sources: int, states: list[AssistantState]) -> ConditionState:
    """KnowledgeReady where every pod has an index."""
    kind, versions = "KnowledgeReady", {state.index for state in states}
    if len(versions) > 1:
        message = f"{len(states)} pods use {len(versions)} versions of the index: a change of a source is on its way"
        return _condition(kind, ConditionStatus.TRUE, "Updating", message)
    message = f"{sources} sources with {sum(found.chunks for found in states[0].sources)} passages and rows"
    if waiting := sum(not state.embedded for state in states):
        message += f"; {waiting} of {len(states)} pods still compute vectors, and find the other text by its words"
        return _condition(kind, ConditionStatus.TRUE, "Embedding", message)
    return _condition(kind, ConditionStatus.TRUE, "Indexed", message)


def _fault_of(result: PassResult, source: KnowledgeSource) -> str:
    """Why a source, or its newest content, cannot be used; empty if it is used or unknown."""
    place = f"spec.knowledge[{source.name}]"
    if source.config_map in result.missing_config_maps:
        namespace = result.assistant.metadata.namespace
        return f"{place}.configMap: ConfigMap {namespace}/{source.config_map} does not exist"
    for name, state in result.known_states.items():
        found = next((each for each in state.sources if each.name == source.name), None)
        if found is not None and found.message:
            return f"{place}: {found.message} (pod {name})"
    return ""


def _tools_ready(result: PassResult) -> ConditionState:
    kind, tools = "ToolsReady", result.assistant.spec.tools
    if not tools:
        return _condition(kind, ConditionStatus.TRUE, "NoTools", "spec.tools is empty")
    if not result.known_states:
        return _condition(kind, ConditionStatus.UNKNOWN, NOT_REPORTED, _why_not_reported(result))
    if changed := [fault for tool in tools if (fault := _change_of(result, tool))]:
        return _condition(kind, ConditionStatus.FALSE, DESCRIPTIONS_CHANGED, _joined(changed))
    if faults := [*_tool_faults(result)]:
        return _condition(kind, ConditionStatus.FALSE, TOOL_SERVER_UNUSABLE, _joined(faults))
    if unpinned := [tool.name for tool in tools if not pin_of(result, tool)]:
        message = f"the pods do not report equal descriptions of {', '.join(unpinned)} yet"
        return _condition(kind, ConditionStatus.UNKNOWN, "NotPinned", message)
    message = f"{len(tools)} MCP servers answer with the pinned descriptions"
    return _condition(kind, ConditionStatus.TRUE, "Pinned", message)


def _change_of(result: PassResult, tool: ToolServer) -> str:
    """A digest that is not the pinned one; empty if there is none."""
    pin = pin_of(result, tool)
    other = sorted(reported_digests(result, tool.name) - {pin, ""})
    if not pin or not other:
        return ""
    origin = f"spec.tools[{tool.name}].pinnedDigest" if tool.pinned_digest else "the first ones, in status.tools"
    return (
        f"the tools of {tool.name} ({tool.mcp}) have other descriptions: expected {pin} ({origin}), found {other[0]}. "
        f"They are not called. Review them; to accept them, set spec.tools[{tool.name}].pinnedDigest to {other[0]}"
    )


def _tool_faults(result: PassResult) -> Iterator[str]:
    for tool in result.assistant.spec.tools:
        for name, state in result.known_states.items():
            found = next((each for each in state.tools if each.name == tool.name), None)
            if found is not None and found.message:
                yield f"spec.tools[{tool.name}].mcp {tool.mcp}: {found.message} (pod {name})"
                break


def _model_ready(result: PassResult) -> ConditionState:
    kind, model = "ModelReady", result.assistant.spec.model
    if model.writes is ModelWriting.NEVER:
        message = "spec.model.writes is Never: no answer is phrased by a model"
        return _condition(kind, ConditionStatus.TRUE, "NotUsed", message)
    if model.chat_model is not None:
        name = f"{result.assistant.metadata.namespace}/{model.chat_model}"
        if result.chat_model is None:
            message = f"spec.model.chatModel: ChatModel {name} does not exist; answers come without it"
            return _condition(kind, ConditionStatus.FALSE, CHAT_MODEL_NOT_FOUND, message)
        if not is_ready(result.chat_model):
            found = ready_condition(result.chat_model)
            why = f"{found.get('reason') or 'Unknown'}: {found.get('message') or 'its operator has not reported yet'}"
            message = f"spec.model.chatModel: ChatModel {name} is not Ready ({why}); answers come without it"
            return _condition(kind, ConditionStatus.FALSE, CHAT_MODEL_NOT_READY, message)
    if not result.known_states:
        return _condition(kind, ConditionStatus.UNKNOWN, NOT_REPORTED, _why_not_reported(result))
    for name, state in result.known_states.items():
        if not state.model_writes:
            message = f"{state.model_message or 'no reason given'} (pod {name})"
            return _condition(kind, ConditionStatus.FALSE, MODEL_MAY_NOT_WRITE, message)
    return _condition(kind, ConditionStatus.TRUE, "Writes", "the model may phrase answers in every pod")


def _settings_ready(result: PassResult) -> ConditionState:
    """Of what only a pod can check: the Secrets' content, the key set of the shop, the time zone."""
    kind = "SettingsReady"
    if not result.known_states:
        return _condition(kind, ConditionStatus.UNKNOWN, NOT_REPORTED, _why_not_reported(result))
    found = {problem: name for name, state in result.known_states.items() for problem in state.problems}
    if found:
        faults = [f"{problem} (pod {name})" for problem, name in found.items()]
        return _condition(kind, ConditionStatus.FALSE, SETTING_UNUSABLE, _joined(faults))
    return _condition(kind, ConditionStatus.TRUE, "Usable", "the pods can use identity, desk and opening hours")


def _why_not_reported(result: PassResult) -> str:
    unread = [f"pod {name}: {why}" for name, why in sorted(result.reading.failures.items())]
    return _joined(unread) if unread else "no pod has reported its state yet"


def _joined(causes: list[str]) -> str:
    more = f"; {len(causes) - _SHOWN} more" if len(causes) > _SHOWN else ""
    return "; ".join(causes[:_SHOWN]) + more


def _condition(kind: str, status: ConditionStatus, reason: str, message: str) -> ConditionState:
    return ConditionState(kind, status, reason, message)
