"""ChatModel and ShopAssistant, v1alpha1: the only source of CRDs, `kubectl explain` and what the operator reads.

Field descriptions are user documentation. Rules between fields are CEL (`cel_rules`); `crd.py` adds them to the CRD
and the API server enforces them. Import the names of ChatModel from this package, not from its modules.
"""

from chatscale.api.v1alpha1.autoscaling import (
    AnnouncedEvent,
    AutoscalingMode,
    AutoscalingSpec,
    Fallback,
    FallbackBehavior,
    MetricSource,
    MetricTarget,
    MetricType,
    ScaleDownRules,
    ScaleToZero,
    ScaleUpRules,
    ScalingBehavior,
    ScalingPolicy,
    ScalingPolicyType,
    ScalingRules,
    SloSpec,
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
    parse_assistant_status,
    parse_chatmodel,
    parse_shopassistant,
    parse_status,
)
from chatscale.api.v1alpha1.pod import (
    RESERVED_ANNOTATIONS,
    RESERVED_LABELS,
    RESERVED_PREFIX,
    PodMetadataSpec,
)
from chatscale.api.v1alpha1.scheduling import (
    Affinity,
    SchedulingSpec,
    SpreadConstraint,
    Toleration,
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
from chatscale.api.v1alpha1.shopassistant import (
    ShopAssistant,
    ShopAssistantSpec,
)
from chatscale.api.v1alpha1.shopassistant_status import (
    ShopAssistantStatus,
    SourceStatus,
    ToolServerStatus,
)
from chatscale.api.v1alpha1.status import (
    AutoscalingPhase,
    AutoscalingStatus,
    BindingLimit,
    CapacityStatus,
    ChatModelStatus,
    Condition,
    ConditionStatus,
    LearnedStatus,
    MetricStatus,
    ScalingRecord,
)
from chatscale.names import KIND

__all__ = [
    "KIND",
    "RESERVED_ANNOTATIONS",
    "RESERVED_LABELS",
    "RESERVED_PREFIX",
    "Affinity",
    "AnnouncedEvent",
    "ApiModel",
    "AutoscalingMode",
    "AutoscalingPhase",
    "AutoscalingSpec",
    "AutoscalingStatus",
    "BindingLimit",
    "CapacityStatus",
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
    "MetricSource",
    "MetricStatus",
    "MetricTarget",
    "MetricType",
    "ModelSource",
    "NonEmptyName",
    "ObjectMeta",
    "PodMetadataSpec",
    "Quantity",
    "ResourceRequirements",
    "ScaleDownRules",
    "ScaleToZero",
    "ScaleUpRules",
    "ScalingBehavior",
    "ScalingPolicy",
    "ScalingPolicyType",
    "ScalingRecord",
    "ScalingRules",
    "SchedulingSpec",
    "SecretKeyRef",
    "ServerSpec",
    "ShopAssistant",
    "ShopAssistantSpec",
    "ShopAssistantStatus",
    "SimulatedServer",
    "SloSpec",
    "SourceStatus",
    "SourceType",
    "SpreadConstraint",
    "Toleration",
    "ToolServerStatus",
    "parse_assistant_status",
    "parse_chatmodel",
    "parse_shopassistant",
    "parse_status",
]
