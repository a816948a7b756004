{{/*
All rights of the operator in a namespace that it serves. ClusterRole and Role contain the same rules: exactly what
chatscale.cluster and kopf's watches request. The only right on Secrets is to create them: pods read theirs themselves,
and the operator can neither read, change nor delete one. There is no pods/exec. The operator deletes HPAs, when a ChatModel leaves mode HPA, and NetworkPolicies, when
`networkPolicy.enabled` is turned off; owner references delete the other children. RBAC has no label selectors, so no
rule can be limited to the operator's own objects.
*/}}
{{- define "chatscale.operatorRules" -}}
- apiGroups: [chatscale.dev]
  resources: [chatmodels, shopassistants]
  verbs: [get, list, watch]
# The operator writes spec.replicas through scale, and no other field of the spec.
- apiGroups: [chatscale.dev]
  resources: [chatmodels/status, chatmodels/scale, shopassistants/status]
  verbs: [patch]
# Owner references with blockOwnerDeletion need this where the admission plugin
# OwnerReferencesPermissionEnforcement is on (OpenShift's default).
- apiGroups: [chatscale.dev]
  resources: [chatmodels/finalizers, shopassistants/finalizers]
  verbs: [update]
# Server-side apply needs patch, and create for an object that does not exist. Passes read from watch caches (list,
# watch); get finds a foreign object that has a child's name.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
# One ConfigMap per ChatModel holds its SLO, one per ShopAssistant its spec. get also finds out whether a ConfigMap exists
# that a ShopAssistant names.
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
# The key that signs pending confirmations of a ShopAssistant: created once and never read. RBAC cannot limit create to a
# name. Who may create Deployments can have more: a pod with any Secret of the namespace.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
# Marks the pods that a lower count removes.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
