{{/*
All that the operator may do in a namespace that it serves; the same by ClusterRole and by Role.
No Secrets: pods read theirs themselves. No pods/exec. Deployments, Services and HPAs cannot be
narrowed further, since RBAC knows no label selectors.
*/}}
{{- define "chatscale.operatorRules" -}}
- apiGroups: [chatscale.dev]
  resources: [chatmodels]
  verbs: [get, list, watch, patch]
- apiGroups: [chatscale.dev]
  resources: [chatmodels/status]
  verbs: [get, patch]
- apiGroups: [chatscale.dev]
  resources: [chatmodels/scale]
  verbs: [get, patch, update]
# Owner references with blockOwnerDeletion need this where the admission plugin
# OwnerReferencesPermissionEnforcement is on (OpenShift's default).
- apiGroups: [chatscale.dev]
  resources: [chatmodels/finalizers]
  verbs: [update]
# Server-side apply is patch, and create while the object does not exist.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
