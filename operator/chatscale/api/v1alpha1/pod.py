"""Metadata and identity of the pods: labels, annotations, service account.

Selectors, scrapes and the operator's own reading depend on labels and annotations that the operator sets. Users cannot
set those: the API server refuses them by rule, and the operator too, in case the CRD is older.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from chatscale import names
from chatscale.api.v1alpha1.common import ApiModel, CelRule, LabelValue, NonEmptyName

RESERVED_LABELS: Final = (
    names.NAME_LABEL,
    names.INSTANCE_LABEL,
    names.MANAGED_BY_LABEL,
    "pod-template-hash",
    "controller-revision-hash",
)
"""Ours, and those of the Deployment controller."""
RESERVED_ANNOTATIONS: Final = (
    "kubectl.kubernetes.io/default-container",
    "prometheus.io/scrape",
    "prometheus.io/port",
    "prometheus.io/path",
)
RESERVED_PREFIX: Final = f"{names.GROUP}/"


def _rule(field: str, reserved: tuple[str, ...]) -> CelRule:
    """No key of the map `field` is reserved. The message cannot name the key: CEL knows no bound for its length."""
    keys = ", ".join(f"'{key}'" for key in reserved)
    return CelRule(
        f"!has(self.{field}) || self.{field}.all(key, !(key in [{keys}]) && !key.startsWith('{RESERVED_PREFIX}'))",
        f"spec.pod.{field} must not set {', '.join(reserved)} or {RESERVED_PREFIX}*: the operator and Kubernetes set "
        "those",
    )


def _refuse(field: str, reserved: tuple[str, ...]) -> AfterValidator:
    def check(value: dict[str, str]) -> dict[str, str]:
        found = [key for key in value if key in reserved or key.startswith(RESERVED_PREFIX)]
        if found:
            raise ValueError(f"spec.pod.{field} must not set {', '.join(found)}: the operator and Kubernetes set those")
        return value

    return AfterValidator(check)


class PodMetadataSpec(ApiModel):
    """Labels, annotations and service account of the pods. A change rolls the replicas out."""

    cel_rules = (_rule("labels", RESERVED_LABELS), _rule("annotations", RESERVED_ANNOTATIONS))

    labels: Annotated[dict[str, LabelValue], Field(max_length=32), _refuse("labels", RESERVED_LABELS)] = Field(
        default_factory=dict,
        description="Additional labels of the pods. Labels that the operator sets are refused: chatscale.dev/*, "
        "app.kubernetes.io/name, instance and managed-by.",
    )
    annotations: Annotated[
        dict[str, Annotated[str, StringConstraints(max_length=32_768)]],
        Field(max_length=32),
        _refuse("annotations", RESERVED_ANNOTATIONS),
    ] = Field(
        default_factory=dict,
        description="Additional annotations of the pods. Those that the operator sets are refused: chatscale.dev/*, "
        "prometheus.io/scrape, port and path, kubectl.kubernetes.io/default-container. To restart all pods, for "
        "example after a Secret was rotated, change the value of an annotation.",
    )
    service_account_name: NonEmptyName | None = Field(
        default=None,
        description="ServiceAccount of the pods, for admission policies and cloud identities. Its token is not "
        "mounted. Default: default.",
    )
