"""The ChatModel resource, v1alpha1: the one source of the CRD, of `kubectl explain` and of what the operator reads.

Field descriptions are user documentation. Rules between fields are CEL (`cel_rules`), which the API server
enforces; `crd.py` attaches them. Import the names from this package, not from its modules.
"""

from chatscale.api.v1alpha1.autoscaling import (
    AnnouncedEvent,
    AutoscalingMode,
    AutoscalingSpec,
    Behavior,
    Fallback,
    FallbackBehavior,
    MetricSource,
    MetricTarget,
    MetricType,
    ScaleDownRules,
    ScaleUpRules,
    ScalingPolicy,
    ScalingPolicyType,
    ScalingRules,
    Slo,
    SourceType,
)
from chatscale.api.v1alpha1.chatmodel import (
    ChatModel,
    ChatModelSpec,
    ObjectMeta,
)
from chatscale.api.v1alpha1.common import (
    ApiModel,
    CelRule,
    LocalObjectRef,
    NonEmptyName,
    Quantity,
    SecretKeyRef,
)
from chatscale.api.v1alpha1.model import (
    ModelSource,
)
from chatscale.api.v1alpha1.parse import (
    InvalidSpecError,
    parse_chatmodel,
    parse_status,
)
from chatscale.api.v1alpha1.server import (
    Device,
    DrainSpec,
    Dtype,
    EnvFromSource,
    EnvVar,
    ImagePullPolicy,
    ResourceRequirements,
    ServerSpec,
    SimulatedServer,
)
from chatscale.api.v1alpha1.status import (
    AutoscalingPhase,
    AutoscalingStatus,
    ChatModelStatus,
    Condition,
    ConditionStatus,
    LearnedStatus,
    MetricReading,
    ScalingRecord,
)
from chatscale.names import KIND

__all__ = [
    "KIND",
    "AnnouncedEvent",
    "ApiModel",
    "AutoscalingMode",
    "AutoscalingPhase",
    "AutoscalingSpec",
    "AutoscalingStatus",
    "Behavior",
    "CelRule",
    "ChatModel",
    "ChatModelSpec",
    "ChatModelStatus",
    "Condition",
    "ConditionStatus",
    "Device",
    "DrainSpec",
    "Dtype",
    "EnvFromSource",
    "EnvVar",
    "Fallback",
    "FallbackBehavior",
    "ImagePullPolicy",
    "InvalidSpecError",
    "LearnedStatus",
    "LocalObjectRef",
    "MetricReading",
    "MetricSource",
    "MetricTarget",
    "MetricType",
    "ModelSource",
    "NonEmptyName",
    "ObjectMeta",
    "Quantity",
    "ResourceRequirements",
    "ScaleDownRules",
    "ScaleUpRules",
    "ScalingPolicy",
    "ScalingPolicyType",
    "ScalingRecord",
    "ScalingRules",
    "SecretKeyRef",
    "ServerSpec",
    "SimulatedServer",
    "Slo",
    "SourceType",
    "parse_chatmodel",
    "parse_status",
]
