{{- define "clickstream.image" -}}
{{- $image := .Values.image -}}
{{- $name := $image.repository -}}
{{- with $image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if $image.digest }}{{ printf "%s@%s" $name $image.digest }}{{ else }}{{ printf "%s:%s" $name ($image.tag | default .Chart.AppVersion) }}{{ end -}}
{{- end }}

{{/* What every pod has in common; nothing in it talks to the Kubernetes API. Service links would set POSTGRES_PORT. */}}
{{- define "clickstream.podSpec" -}}
serviceAccountName: {{ include "clickstream.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $volumes := include "clickstream.volumes" . }}
{{- if $volumes }}
volumes:
  {{- $volumes | nindent 2 }}
{{- end }}
{{- end }}

{{- define "clickstream.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Certificates, where external services need them. */}}
{{- define "clickstream.volumes" -}}
{{- $kafka := .Values.kafka.external }}
{{- $postgres := .Values.postgres.external }}
{{- if and (not .Values.redpanda.enabled) $kafka.tls.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ $kafka.tls.caSecret }}
    items:
      - {key: {{ $kafka.tls.caKey }}, path: ca.crt}
{{- end }}
{{- if and (not .Values.redpanda.enabled) $kafka.tls.clientSecret }}
- name: kafka-client
  secret:
    secretName: {{ $kafka.tls.clientSecret }}
    defaultMode: 0440
    items:
      - {key: {{ $kafka.tls.certificateKey }}, path: tls.crt}
      - {key: {{ $kafka.tls.privateKeyKey }}, path: tls.key}
{{- end }}
{{- if and (not .Values.postgres.enabled) $postgres.caSecret }}
- name: postgres-ca
  secret:
    secretName: {{ $postgres.caSecret }}
    items:
      - {key: {{ $postgres.caKey }}, path: ca.crt}
{{- end }}
{{- end }}

{{- define "clickstream.volumeMounts" -}}
{{- if and (not .Values.redpanda.enabled) .Values.kafka.external.tls.caSecret }}
- {name: kafka-ca, mountPath: /run/secrets/kafka-ca, readOnly: true}
{{- end }}
{{- if and (not .Values.redpanda.enabled) .Values.kafka.external.tls.clientSecret }}
- {name: kafka-client, mountPath: /run/secrets/kafka-client, readOnly: true}
{{- end }}
{{- if and (not .Values.postgres.enabled) .Values.postgres.external.caSecret }}
- {name: postgres-ca, mountPath: /run/secrets/postgres-ca, readOnly: true}
{{- end }}
{{- end }}

{{/* What every container of ours has in common. Takes (list context resources). */}}
{{- define "clickstream.container" -}}
{{- $context := first . -}}
image: {{ include "clickstream.image" $context }}
imagePullPolicy: {{ $context.Values.image.pullPolicy }}
securityContext:
  {{- include "clickstream.containerSecurity" $context | nindent 2 }}
resources:
  {{- toYaml (last .) | nindent 2 }}
{{- $mounts := include "clickstream.volumeMounts" $context }}
{{- if $mounts }}
volumeMounts:
  {{- $mounts | nindent 2 }}
{{- end }}
{{- end }}

{{/* Waits until the schema is what this version needs. Takes (list context role). */}}
{{- define "clickstream.waitForSchema" -}}
{{- $context := first . -}}
- name: wait-for-schema
  args: [services.migrate, --wait]
  {{- include "clickstream.container" (list $context $context.Values.migrate.resources) | nindent 2 }}
  env:
    {{- include "clickstream.commonEnv" $context | nindent 4 }}
    {{- include "clickstream.kafkaEnv" $context | nindent 4 }}
    {{- include "clickstream.postgresEnv" . | nindent 4 }}
    {{- include "clickstream.env" (dict "MIGRATE_WAIT_SECONDS" $context.Values.migrate.waitSeconds) | nindent 4 }}
{{- end }}

{{/* Alive while the main loop turns: a dependency that is away makes a service not ready, and never restarts it. */}}
{{- define "clickstream.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: monitoring}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: monitoring}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: monitoring}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
