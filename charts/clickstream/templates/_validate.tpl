{{/* Combinations that can't work, each as a sentence that names the value and the remedy. */}}
{{- define "clickstream.validate" -}}
{{- include "clickstream.validateKafka" . -}}
{{- include "clickstream.validatePostgres" . -}}
{{- include "clickstream.validateScaling" . -}}
{{- end }}

{{- define "clickstream.validateKafka" -}}
{{- $external := .Values.kafka.external -}}
{{- if and .Values.redpanda.enabled $external.bootstrapServers -}}
{{- fail "kafka.external.bootstrapServers is set while redpanda.enabled is true: set redpanda.enabled to false to use the external Kafka." -}}
{{- end -}}
{{- if not .Values.redpanda.enabled -}}
{{- if not $external.bootstrapServers -}}
{{- fail "redpanda.enabled is false: set kafka.external.bootstrapServers to the brokers to use." -}}
{{- end -}}
{{- if and (hasPrefix "SASL_" $external.securityProtocol) (not $external.sasl.existingSecret) -}}
{{- fail (printf "kafka.external.securityProtocol is %s, which needs a login: set kafka.external.sasl.existingSecret." $external.securityProtocol) -}}
{{- end -}}
{{- if and $external.sasl.existingSecret (not (hasPrefix "SASL_" $external.securityProtocol)) -}}
{{- fail (printf "kafka.external.sasl.existingSecret is set, but securityProtocol %s doesn't log in: set it to SASL_SSL." $external.securityProtocol) -}}
{{- end -}}
{{- if and (or $external.tls.caSecret $external.tls.clientSecret) (not (hasSuffix "SSL" $external.securityProtocol)) -}}
{{- fail (printf "kafka.external.tls names certificates, but securityProtocol %s doesn't use TLS: set it to SSL or SASL_SSL." $external.securityProtocol) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redpanda.enabled (gt (int .Values.kafka.topicReplicationFactor) (int (.Values.redpanda.replicas | default 1))) -}}
{{- fail (printf "kafka.topicReplicationFactor is %d, but redpanda.replicas is %d: there can't be more copies than brokers." (int .Values.kafka.topicReplicationFactor) (int (.Values.redpanda.replicas | default 1))) -}}
{{- end -}}
{{- end }}

{{- define "clickstream.validatePostgres" -}}
{{- $external := .Values.postgres.external -}}
{{- if and .Values.postgres.enabled $external.pooler.host -}}
{{- fail "postgres.external.pooler.host is set while postgres.enabled is true: a pooler goes with an external PostgreSQL only." -}}
{{- end -}}
{{- if and .Values.postgres.enabled $external.host -}}
{{- fail "postgres.external.host is set while postgres.enabled is true: set postgres.enabled to false to use the external PostgreSQL." -}}
{{- end -}}
{{- if not .Values.postgres.auth.existingSecret -}}
{{- fail "postgres.auth.existingSecret is empty: leave it out for a generated Secret, or name your own." -}}
{{- end -}}
{{- if not .Values.postgres.enabled -}}
{{- if not (and $external.host $external.owner.username) -}}
{{- fail "postgres.enabled is false: set postgres.external.host and postgres.external.owner.username." -}}
{{- end -}}
{{- if and (hasPrefix "verify" $external.sslmode) (not $external.caSecret) -}}
{{- fail (printf "postgres.external.sslmode is %s, which needs the CA's certificate: set postgres.external.caSecret." $external.sslmode) -}}
{{- end -}}
{{- if and $external.pooler.host (hasPrefix "verify" $external.pooler.sslmode) (not $external.caSecret) -}}
{{- fail (printf "postgres.external.pooler.sslmode is %s, which needs the CA's certificate: set postgres.external.caSecret." $external.pooler.sslmode) -}}
{{- end -}}
{{- if and (not $external.owner.existingSecret) (eq (include "clickstream.authSecret" .) (printf "%s-postgres-auth" .Release.Name)) -}}
{{- fail "postgres.external.owner.existingSecret is empty: name the Secret with the password of the role that migrates, or one with all passwords in postgres.auth.existingSecret." -}}
{{- end -}}
{{- if and .Values.grafana.enabled (eq (tpl .Values.grafana.datasource.host .) (printf "%s-postgres" .Release.Name)) -}}
{{- fail "grafana.datasource.host still names the chart's own PostgreSQL: set it to postgres.external.host or to a read replica's (and sslmode and caSecret beside it), or set grafana.enabled to false." -}}
{{- end -}}
{{- if and .Values.grafana.enabled (contains "app.kubernetes.io/name: postgres" (toYaml .Values.grafana.networkPolicy.postgresPeers)) -}}
{{- fail "grafana.networkPolicy.postgresPeers still lets Grafana through to the chart's own PostgreSQL alone: set it to [], or to where the external one is." -}}
{{- end -}}
{{- end -}}
{{- $own := printf "%s-postgres" .Release.Name -}}
{{- if and .Values.postgres.enabled .Values.grafana.enabled (ne (include "clickstream.postgresFullname" .) $own) (eq (tpl .Values.grafana.datasource.host .) $own) -}}
{{- fail "postgres.fullnameOverride is set: name it in grafana.datasource.host too, and its client label in grafana.podLabels." -}}
{{- end -}}
{{- end }}

{{- define "clickstream.validateScaling" -}}
{{- $autoscaling := .Values.consumer.autoscaling -}}
{{- $automatic := or $autoscaling.hpa.enabled $autoscaling.keda.enabled -}}
{{- $partitions := int .Values.kafka.topicPartitions -}}
{{- if and $autoscaling.hpa.enabled $autoscaling.keda.enabled -}}
{{- fail "consumer.autoscaling.hpa and .keda are both enabled and would undo each other: enable one." -}}
{{- end -}}
{{- if and $automatic (not (kindIs "invalid" .Values.consumer.replicas)) -}}
{{- fail "consumer.replicas is set, and every upgrade would undo what the autoscaler did: leave it null, and set consumer.autoscaling.minReplicas." -}}
{{- end -}}
{{- if and $automatic (gt (int $autoscaling.maxReplicas) $partitions) -}}
{{- fail (printf "consumer.autoscaling.maxReplicas is %d, but the topic has %d partitions (kafka.topicPartitions): further consumers would idle." (int $autoscaling.maxReplicas) $partitions) -}}
{{- end -}}
{{- if and $automatic (lt (int $autoscaling.maxReplicas) (int $autoscaling.minReplicas)) -}}
{{- fail "consumer.autoscaling.maxReplicas is less than minReplicas." -}}
{{- end -}}
{{- if gt (int (.Values.consumer.replicas | default 0)) $partitions -}}
{{- fail (printf "consumer.replicas is %d, but the topic has %d partitions (kafka.topicPartitions): further consumers would idle." (int .Values.consumer.replicas) $partitions) -}}
{{- end -}}
{{- end }}
