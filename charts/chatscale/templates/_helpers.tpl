{{/* Start of every object's name: the release's, which usually is "chatscale" itself. A Service's may have 63. */}}
{{- define "chatscale.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 46 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "chatscale.operatorName" -}}
{{ include "chatscale.fullname" . }}-operator
{{- end -}}

{{- define "chatscale.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "chatscale.operatorName" .) }}
{{- end -}}

{{/* Never changes within a release: a Deployment's selector is immutable. */}}
{{- define "chatscale.selectorLabels" -}}
app.kubernetes.io/name: chatscale-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "chatscale.labels" -}}
{{ include "chatscale.selectorLabels" . }}
app.kubernetes.io/part-of: chatscale
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "chatscale.operatorImage" -}}
{{- $tag := .Values.operator.image.tag | default .Chart.AppVersion -}}
{{ .Values.operator.image.repository }}{{ hasPrefix "sha256:" $tag | ternary "@" ":" }}{{ $tag }}
{{- end -}}

{{/* Served namespaces as the operator reads them: separated by commas, empty for the whole cluster. */}}
{{- define "chatscale.namespaces" -}}
{{- if eq .Values.scope "Namespace" -}}
{{ .Values.namespaces | default (list .Release.Namespace) | join "," }}
{{- end -}}
{{- end -}}

{{- define "chatscale.gatewayName" -}}
{{ include "chatscale.fullname" . }}-gateway
{{- end -}}

{{- define "chatscale.gatewayServiceAccountName" -}}
{{ .Values.gateway.serviceAccount.name | default (include "chatscale.gatewayName" .) }}
{{- end -}}

{{/* Gateways find each other by these, and the operator finds them: `GATEWAY_NAME` in the contract. */}}
{{- define "chatscale.gatewaySelectorLabels" -}}
app.kubernetes.io/name: chatscale-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "chatscale.gatewayLabels" -}}
{{ include "chatscale.gatewaySelectorLabels" . }}
app.kubernetes.io/part-of: chatscale
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "chatscale.gatewayImage" -}}
{{- $tag := .Values.gateway.image.tag | default .Chart.AppVersion -}}
{{ .Values.gateway.image.repository }}{{ hasPrefix "sha256:" $tag | ternary "@" ":" }}{{ $tag }}
{{- end -}}

{{- define "chatscale.gatewayScheme" -}}
{{- if (.Values.gateway.tls).secretName -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{/* Address of the gateway inside the cluster, for the pods of ShopAssistants. */}}
{{- define "chatscale.gatewayUrl" -}}
{{ include "chatscale.gatewayScheme" . }}://{{ include "chatscale.gatewayName" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "chatscale.gatewayServicePort" -}}
{{- if (.Values.gateway.tls).secretName -}}443{{- else -}}80{{- end -}}
{{- end -}}

{{/* What an Ingress or HTTPRoute sends to the gateway. The gateway removes the prefix itself. */}}
{{- define "chatscale.gatewayPath" -}}
{{ .Values.gateway.pathPrefix | default "/" }}
{{- end -}}
