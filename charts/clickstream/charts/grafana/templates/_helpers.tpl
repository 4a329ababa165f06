{{/* Name of every object; the parent chart computes the same. */}}
{{- define "grafana.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-grafana" .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* Never changes over a release's life. */}}
{{- define "grafana.selectorLabels" -}}
app.kubernetes.io/name: grafana
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: dashboards
{{- end }}

{{- define "grafana.labels" -}}
{{ include "grafana.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | quote }}
app.kubernetes.io/part-of: clickstream
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "grafana.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if .Values.image.digest }}{{ printf "%s@%s" $name .Values.image.digest }}{{ else }}{{ printf "%s:%s" $name .Values.image.tag }}{{ end -}}
{{- end }}

{{/* What every pod has in common; nothing in it talks to the Kubernetes API. */}}
{{- define "grafana.podSpec" -}}
serviceAccountName: {{ include "grafana.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
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
{{- end }}

{{- define "grafana.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Egress to the cluster's name servers. */}}
{{- define "grafana.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dnsPeers | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* Secret with the administrator's password. */}}
{{- define "grafana.adminSecret" -}}
{{- .Values.admin.existingSecret | default (printf "%s-admin" (include "grafana.fullname" .)) -}}
{{- end }}

{{/* Name of the ConfigMap of a dashboard's file. */}}
{{- define "grafana.dashboardConfigMap" -}}
{{- printf "%s-dashboard-%s" (include "grafana.fullname" .context) (base .path | trimSuffix ".json" | lower | replace "_" "-") | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* Where people reach Grafana: links in alerts lead there. */}}
{{- define "grafana.rootUrl" -}}
{{- if .Values.rootUrl -}}
{{- .Values.rootUrl -}}
{{- else if .Values.ingress.enabled -}}
{{- printf "%s://%s/" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host -}}
{{- end -}}
{{- end }}

{{/* Notification policies; a contact point that nothing leads to would tell nobody anything. */}}
{{- define "grafana.policies" -}}
{{- if .Values.alerting.policies -}}
{{- toYaml .Values.alerting.policies -}}
{{- else -}}
- orgId: 1
  receiver: {{ (first .Values.alerting.contactPoints).name | quote }}
  group_by: [grafana_folder, alertname]
{{- end -}}
{{- end }}
