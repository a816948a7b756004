{{/*
All rights of the gateway on what it serves; gatewayKeyRules has those on API keys. It writes nothing here. RBAC has no label selectors, so the right on
pods includes those of other applications.
*/}}
{{- define "chatscale.gatewayRules" -}}
- apiGroups: [chatscale.dev]
  resources: [chatmodels, shopassistants]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end -}}

{{/*
Rights in a namespace whose API keys count. They include all Secrets of the namespace, as RBAC has no label selectors.
*/}}
{{- define "chatscale.gatewayKeyRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
# On Secrets that are malformed.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* "true", or empty where everybody may use the API. Values of an older chart have no `auth`. */}}
{{- define "chatscale.gatewayAuth" -}}
{{- if and .Values.gateway.enabled (ne (toString (.Values.gateway.auth).enabled) "false") -}}true{{- end -}}
{{- end -}}

{{/* Namespaces of the Secrets with API keys, or `*`. */}}
{{- define "chatscale.keyNamespaces" -}}
{{- $served := eq .Values.scope "Namespace" | ternary (.Values.namespaces | default list) list -}}
{{- (.Values.gateway.auth).secretNamespaces | default (append $served .Release.Namespace) | uniq | join "," }}
{{- end -}}

{{- define "chatscale.gatewaySubjects" -}}
- kind: ServiceAccount
  name: {{ include "chatscale.gatewayServiceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
