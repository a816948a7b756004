{{/*
All rights of the gateway in a namespace that it serves. It writes nothing, and there is no right on Secrets. RBAC has
no label selectors, so the right on pods includes those of other applications.
*/}}
{{- define "chatscale.gatewayRules" -}}
- apiGroups: [chatscale.dev]
  resources: [chatmodels]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end -}}

{{- define "chatscale.gatewaySubjects" -}}
- kind: ServiceAccount
  name: {{ include "chatscale.gatewayServiceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
