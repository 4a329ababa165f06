{{/* Combinations that can't work, each as a sentence. */}}
{{- define "grafana.validate" -}}
{{- if and (hasPrefix "verify" .Values.datasource.sslmode) (not .Values.datasource.caSecret) -}}
{{- fail (printf "grafana.datasource.sslmode is %s, which needs the CA's certificate: set grafana.datasource.caSecret." .Values.datasource.sslmode) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "grafana.ingress.enabled needs grafana.ingress.host." -}}
{{- end -}}
{{- if and .Values.alerting.policies (not .Values.alerting.contactPoints) -}}
{{- fail "grafana.alerting.policies name contact points: define them in grafana.alerting.contactPoints." -}}
{{- end -}}
{{- end }}
