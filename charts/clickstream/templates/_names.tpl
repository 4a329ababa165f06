{{/* Names and labels of every object. */}}
{{- define "clickstream.fullname" -}}
{{- $name := contains "clickstream" .Release.Name | ternary .Release.Name (printf "%s-clickstream" .Release.Name) -}}
{{- .Values.fullnameOverride | default $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "clickstream.redpandaFullname" -}}
{{- .Values.redpanda.fullnameOverride | default (printf "%s-redpanda" .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "clickstream.postgresFullname" -}}
{{- .Values.postgres.fullnameOverride | default (printf "%s-postgres" .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* Secret with the passwords of all roles. */}}
{{- define "clickstream.authSecret" -}}
{{- tpl .Values.postgres.auth.existingSecret . -}}
{{- end }}

{{/* Never changes over a release's life. Takes (list context component). */}}
{{- define "clickstream.selectorLabels" -}}
{{- $context := first . -}}
app.kubernetes.io/name: clickstream
app.kubernetes.io/instance: {{ $context.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* Takes (list context component). */}}
{{- define "clickstream.labels" -}}
{{- $context := first . -}}
{{ include "clickstream.selectorLabels" . }}
app.kubernetes.io/version: {{ $context.Values.image.tag | default $context.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: clickstream
app.kubernetes.io/managed-by: {{ $context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels by which a pod asks for access. Takes a context. */}}
{{- define "clickstream.postgresClientLabel" -}}
{{- if .Values.postgres.enabled -}}
{{ include "clickstream.postgresFullname" . }}-client: "true"
{{- end }}
{{- end }}

{{- define "clickstream.redpandaClientLabel" -}}
{{- if .Values.redpanda.enabled -}}
{{ include "clickstream.redpandaFullname" . }}-client: "true"
{{- end }}
{{- end }}
