{{/* Egress rules to the broker and to the database, inside the cluster or outside it. */}}
{{- define "clickstream.kafkaEgress" -}}
{{- if .Values.redpanda.enabled -}}
- to:
    - podSelector:
        matchLabels: {app.kubernetes.io/name: redpanda, app.kubernetes.io/instance: {{ .Release.Name }}}
  ports:
    - {port: 9092, protocol: TCP}
{{- else -}}
{{- $ports := .Values.networkPolicy.externalKafkaPorts }}
{{- range splitList "," .Values.kafka.external.bootstrapServers }}
{{- $ports = append $ports (splitList ":" (trim .) | last | int) }}
{{- end -}}
- ports:
    {{- range $ports | uniq | sortAlpha }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- include "clickstream.externalPeers" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "clickstream.postgresEgress" -}}
{{- if .Values.postgres.enabled -}}
- to:
    - podSelector:
        matchLabels: {app.kubernetes.io/name: postgres, app.kubernetes.io/instance: {{ .Release.Name }}}
  ports:
    - {port: 5432, protocol: TCP}
{{- else -}}
{{- include "clickstream.externalPostgresEgress" (list . .Values.postgres.external.port) }}
{{- end }}
{{- end }}

{{/* To where consumers store. */}}
{{- define "clickstream.ingestEgress" -}}
{{- if and (not .Values.postgres.enabled) .Values.postgres.external.pooler.host -}}
{{- include "clickstream.externalPostgresEgress" (list . .Values.postgres.external.pooler.port) }}
{{- else -}}
{{- include "clickstream.postgresEgress" . }}
{{- end }}
{{- end }}

{{/* Takes (list context port). */}}
{{- define "clickstream.externalPostgresEgress" -}}
- ports:
    - {port: {{ int (last .) }}, protocol: TCP}
  {{- include "clickstream.externalPeers" (first .) | nindent 2 }}
{{- end }}

{{- define "clickstream.externalPeers" -}}
{{- with .Values.networkPolicy.externalPeers -}}
to:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
