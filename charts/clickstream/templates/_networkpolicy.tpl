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
- ports:
    - {port: {{ int .Values.postgres.external.port }}, protocol: TCP}
  {{- include "clickstream.externalPeers" . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "clickstream.externalPeers" -}}
{{- with .Values.networkPolicy.externalPeers -}}
to:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
