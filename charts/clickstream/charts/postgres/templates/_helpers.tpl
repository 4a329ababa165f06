{{/* Name of every object; the parent chart computes the same. */}}
{{- define "postgres.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-postgres" .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* Never changes over a release's life. */}}
{{- define "postgres.selectorLabels" -}}
app.kubernetes.io/name: postgres
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: database
{{- end }}

{{- define "postgres.labels" -}}
{{ include "postgres.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | quote }}
app.kubernetes.io/part-of: clickstream
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "postgres.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if .Values.image.digest }}{{ printf "%s@%s" $name .Values.image.digest }}{{ else }}{{ printf "%s:%s" $name .Values.image.tag }}{{ end -}}
{{- end }}

{{/* What every pod has in common; nothing in it talks to the Kubernetes API. */}}
{{- define "postgres.podSpec" -}}
serviceAccountName: {{ include "postgres.fullname" . }}
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

{{- define "postgres.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Secret with the passwords of the superuser and the owner. */}}
{{- define "postgres.secretName" -}}
{{- tpl .Values.auth.existingSecret . | default (printf "%s-auth" (include "postgres.fullname" .)) -}}
{{- end }}

{{/* Size of the volume in bytes: the panel and the alert of a database near full compare with it. */}}
{{- define "postgres.capacityBytes" -}}
{{- $size := .Values.persistence.size -}}
{{- $unit := regexFind "[A-Za-z]*$" $size -}}
{{- $bytes := dict "" 1 "M" 1e6 "G" 1e9 "T" 1e12 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (float64 (trimSuffix $unit $size)) (get $bytes $unit) | int64 -}}
{{- end }}
