{{/* Variables from a dictionary: what is null is left to the service's own default; 67108864 stays that, not 6.7e+07. */}}
{{- define "clickstream.env" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ $value = int64 $value }}{{ end }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* A map as name=value,name=value. */}}
{{- define "clickstream.pairs" -}}
{{- $pairs := list }}
{{- range $name, $value := . }}{{ $pairs = append $pairs (printf "%s=%v" $name $value) }}{{ end }}
{{- join "," $pairs }}
{{- end }}

{{- define "clickstream.commonEnv" -}}
{{- include "clickstream.env" (dict "LOG_LEVEL" .Values.log.level "LOG_FORMAT" .Values.log.format) }}
{{- end }}

{{/* How to reach the broker. */}}
{{- define "clickstream.kafkaEnv" -}}
{{- $external := .Values.kafka.external }}
{{- if .Values.redpanda.enabled }}
{{- include "clickstream.env" (dict
  "KAFKA_BOOTSTRAP_SERVERS" (printf "%s:9092" (include "clickstream.redpandaFullname" .))
  "KAFKA_TOPIC" .Values.kafka.topic) }}
{{- else }}
{{- include "clickstream.env" (dict
  "KAFKA_BOOTSTRAP_SERVERS" $external.bootstrapServers
  "KAFKA_TOPIC" .Values.kafka.topic
  "KAFKA_SECURITY_PROTOCOL" $external.securityProtocol) }}
{{- if hasPrefix "SASL_" $external.securityProtocol }}
- {name: KAFKA_SASL_MECHANISM, value: {{ $external.sasl.mechanism }}}
- name: KAFKA_SASL_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $external.sasl.existingSecret }}, key: {{ $external.sasl.usernameKey }}}}
- name: KAFKA_SASL_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $external.sasl.existingSecret }}, key: {{ $external.sasl.passwordKey }}}}
{{- end }}
{{- if $external.tls.caSecret }}
- {name: KAFKA_SSL_CA_LOCATION, value: /run/secrets/kafka-ca/ca.crt}
{{- end }}
{{- if $external.tls.clientSecret }}
- {name: KAFKA_SSL_CERTIFICATE_LOCATION, value: /run/secrets/kafka-client/tls.crt}
- {name: KAFKA_SSL_KEY_LOCATION, value: /run/secrets/kafka-client/tls.key}
{{- end }}
{{- end }}
{{- end }}

{{/* How to reach the database. Takes (list context role), role one of owner, ingest, aggregate, grafana-reader. */}}
{{- define "clickstream.postgresEnv" -}}
{{- $context := first . }}
{{- $role := last . }}
{{- $external := $context.Values.postgres.external }}
{{- $server := $external }}
{{- if and (eq $role "ingest") $external.pooler.host }}{{ $server = $external.pooler }}{{ end }}
{{- $users := dict "ingest" "clickstream_ingest" "aggregate" "clickstream_aggregate" "grafana-reader" "grafana_reader" }}
{{- $secret := include "clickstream.authSecret" $context }}
{{- $key := printf "%s-password" $role }}
{{- if $context.Values.postgres.enabled }}
{{- include "clickstream.env" (dict
  "POSTGRES_HOST" (include "clickstream.postgresFullname" $context)
  "POSTGRES_DATABASE" $context.Values.postgres.auth.database
  "POSTGRES_USER" (get $users $role | default $context.Values.postgres.auth.owner)
  "POSTGRES_SSLMODE" "disable") }}
{{- else }}
{{- include "clickstream.env" (dict
  "POSTGRES_HOST" $server.host
  "POSTGRES_PORT" $server.port
  "POSTGRES_DATABASE" $external.database
  "POSTGRES_USER" (get $users $role | default $external.owner.username)
  "POSTGRES_SSLMODE" $server.sslmode) }}
{{- if $external.caSecret }}
- {name: POSTGRES_SSLROOTCERT, value: /run/secrets/postgres-ca/ca.crt}
{{- end }}
{{- if and (eq $role "owner") $external.owner.existingSecret }}
{{- $secret = $external.owner.existingSecret }}
{{- $key = $external.owner.passwordKey }}
{{- end }}
{{- end }}
- name: POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $key }}}}
{{- end }}
