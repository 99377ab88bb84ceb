{{/* The name of everything: that of the release, with the chart's in it. */}}
{{- define "fleetdns.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "fleetdns" $name) }}{{ $name = printf "%s-fleetdns" $name }}{{ end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Of what is not in a namespace there may be one for each release. */}}
{{- define "fleetdns.clusterName" -}}
{{- $name := include "fleetdns.name" . -}}
{{- if ne .Release.Namespace $name }}{{ $name = printf "%s:%s" .Release.Namespace $name }}{{ end -}}
{{- $name -}}
{{- end -}}

{{- define "fleetdns.selector" -}}
app.kubernetes.io/name: fleetdns
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fleetdns.metadata" -}}
name: {{ include "fleetdns.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "fleetdns.labels" . | nindent 2 }}
{{- end -}}

{{- define "fleetdns.labels" -}}
{{ include "fleetdns.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "fleetdns.rights" -}}
- apiGroups: [""]
  resources: ["services"{{ if .Values.rbac.nodes }}, "nodes"{{ end }}]
  verbs: ["get", "list", "watch"]
{{- if .Values.kubernetes.events }}
- apiGroups: [""]
  resources: ["events"]
  verbs: ["create", "patch"]
{{- end }}
{{- if .Values.kubernetes.serviceIngresses }}
- apiGroups: [""]
  resources: ["services"]
  verbs: ["patch"]
{{- end }}
{{- end -}}

{{/* The Secret with files, if there is one. */}}
{{- define "fleetdns.secret" -}}
{{- if .Values.existingSecret }}{{ .Values.existingSecret }}{{ else if .Values.secrets }}{{ include "fleetdns.name" . }}{{ end -}}
{{- end -}}
