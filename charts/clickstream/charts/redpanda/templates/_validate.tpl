{{/* Combinations that can't work, each as a sentence. */}}
{{- define "redpanda.validate" -}}
{{- if eq (mod (int .Values.replicas) 2) 0 -}}
{{- fail (printf "redpanda.replicas is %d: an even number of brokers survives no more than one fewer; use 1, 3 or 5." (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.mode (gt (int .Values.replicas) 1) -}}
{{- fail "redpanda.mode is dev-container, which is for one broker: leave redpanda.mode empty or set redpanda.replicas to 1." -}}
{{- end -}}
{{- end }}
