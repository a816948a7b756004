{{- define "chatscale.gatewayScheme" -}}
{{- if (.Values.gateway.tls).secretName -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{- define "chatscale.gatewayServicePort" -}}
{{- if (.Values.gateway.tls).secretName -}}443{{- else -}}80{{- end -}}
{{- end -}}

{{/* What an Ingress or HTTPRoute sends to the gateway. The gateway removes the prefix itself. */}}
{{- define "chatscale.gatewayPath" -}}
{{ .Values.gateway.pathPrefix | default "/" }}
{{- end -}}
