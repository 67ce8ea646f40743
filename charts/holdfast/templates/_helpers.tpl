{{/* Names and blocks that several objects share. */}}

{{- define "holdfast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "holdfast" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-holdfast" (.Release.Name | trunc 31 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.authserver" -}}
{{- printf "%s-authserver" (include "holdfast.fullname" .) -}}
{{- end -}}

{{- define "holdfast.operator" -}}
{{- printf "%s-operator" (include "holdfast.fullname" .) -}}
{{- end -}}

{{- define "holdfast.injector" -}}
{{- printf "%s-injector" (include "holdfast.fullname" .) -}}
{{- end -}}

{{- define "holdfast.admin" -}}
{{- printf "%s-admin" (include "holdfast.fullname" .) -}}
{{- end -}}

{{- define "holdfast.authserver.account" -}}
{{- .Values.serviceAccounts.authserver | default (include "holdfast.authserver" .) -}}
{{- end -}}

{{- define "holdfast.operator.account" -}}
{{- .Values.serviceAccounts.operator | default (include "holdfast.operator" .) -}}
{{- end -}}

{{- define "holdfast.injector.account" -}}
{{- .Values.serviceAccounts.injector | default (include "holdfast.injector" .) -}}
{{- end -}}

{{/* Selects the namespaces that the operator watches, where it does not watch all. */}}
{{- define "holdfast.watched" -}}
matchExpressions:
  - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson .Values.operator.watchNamespaces }}}
{{- end -}}

{{/* Who the operator is to the admin API: pinned there, and asked for in its certificate. */}}
{{- define "holdfast.operator.spiffe" -}}
{{- printf "spiffe://%s/ns/%s/sa/%s" .Values.trustDomain .Release.Namespace (include "holdfast.operator.account" .) -}}
{{- end -}}

{{- define "holdfast.publicUrl" -}}
{{- .Values.authserver.publicUrl | default (printf "https://%s.%s.svc:%v" (include "holdfast.authserver" .) .Release.Namespace .Values.authserver.ports.public) -}}
{{- end -}}

{{- define "holdfast.mtlsUrl" -}}
{{- .Values.authserver.mtlsUrl | default (printf "https://%s.%s.svc:%v" (include "holdfast.authserver" .) .Release.Namespace .Values.authserver.ports.mtls) -}}
{{- end -}}

{{- define "holdfast.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Takes (list $ "component"). */}}
{{- define "holdfast.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Takes (list $ "component"). */}}
{{- define "holdfast.labels" -}}
{{- $root := index . 0 -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Probes of the ops listener. */}}
{{- define "holdfast.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  periodSeconds: 10
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* Where a pod may run. Takes the component's values. */}}
{{- define "holdfast.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
