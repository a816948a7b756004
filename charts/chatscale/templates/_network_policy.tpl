{{/* Values of `networkPolicy`; `helm upgrade --reuse-values` from a chart without them leaves them unset: then the defaults. */}}
{{- define "chatscale.networkPolicyEnabled" -}}
{{- if dig "enabled" true (.Values.networkPolicy | default dict) -}}true{{- end -}}
{{- end -}}

{{/* Prometheus as a NetworkPolicyPeer. An empty selector selects all. */}}
{{- define "chatscale.prometheusPeer" -}}
{{- $given := dig "prometheus" dict (.Values.networkPolicy | default dict) -}}
namespaceSelector:
  {{- dig "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" "monitoring")) $given | toYaml | nindent 2 }}
podSelector:
  {{- dig "podSelector" (dict "matchLabels" (dict "app.kubernetes.io/name" "prometheus")) $given | toYaml | nindent 2 }}
{{- end -}}

{{- define "chatscale.gatewayPeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels:
    {{- include "chatscale.gatewaySelectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "chatscale.operatorPeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels:
    {{- include "chatscale.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/* Who may connect to replicas, as JSON. Without a gateway the replicas have no keys to guard, and clients call them directly. */}}
{{- define "chatscale.replicaPeers" -}}
{{- if and (include "chatscale.networkPolicyEnabled" .) .Values.gateway.enabled -}}
{{- list (include "chatscale.gatewayPeer" . | fromYaml) (include "chatscale.operatorPeer" . | fromYaml) (include "chatscale.prometheusPeer" . | fromYaml) | toJson -}}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{- define "chatscale.replicaExtraIngress" -}}
{{- dig "extraIngress" list (.Values.networkPolicy | default dict) | default list | toJson -}}
{{- end -}}
