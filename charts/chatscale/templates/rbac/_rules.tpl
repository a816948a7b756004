{{/*
All that the operator may do in a namespace that it serves; the same by ClusterRole and by Role, and exactly what
chatscale.cluster and kopf's watches ask for. No Secrets: pods read theirs themselves. No pods/exec. No delete but
of HPAs, when a ChatModel leaves mode HPA: the rest goes with its owner. Nothing can be narrowed to the operator's
own objects, since RBAC knows no label selectors.
*/}}
{{- define "chatscale.operatorRules" -}}
- apiGroups: [chatscale.dev]
  resources: [chatmodels]
  verbs: [get, list, watch]
# spec.replicas is written through scale, and nothing else of the spec.
- apiGroups: [chatscale.dev]
  resources: [chatmodels/status, chatmodels/scale]
  verbs: [patch]
# Owner references with blockOwnerDeletion need this where the admission plugin
# OwnerReferencesPermissionEnforcement is on (OpenShift's default).
- apiGroups: [chatscale.dev]
  resources: [chatmodels/finalizers]
  verbs: [update]
# Server-side apply is patch, and create while the object does not exist.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
