{{- /* Generated from the PERMISSIONS of the operator's modules by `make generate`; do not edit. */}}
{{- define "holdfast.operator.rules.cluster" }}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
- apiGroups: [holdfast.dev]
  resources: [mtlspolicies]
  verbs: [list, watch]
- apiGroups: [cert-manager.io]
  resources: [clusterissuers]
  verbs: [list, watch]
- apiGroups: [holdfast.dev]
  resources: [mtlspolicies/status]
  verbs: [patch]
{{- if .Values.approver.issuers }}
- apiGroups: [cert-manager.io]
  resources: [signers]
  resourceNames:
    {{- range .Values.approver.issuers }}
    - clusterissuers.cert-manager.io/{{ . }}
    {{- end }}
  verbs: [approve]  # asked by cert-manager's webhook when those conditions are set
{{- end }}
{{- end }}
{{- define "holdfast.operator.rules.namespaced" }}
- apiGroups: [holdfast.dev]
  resources: [oauthclients]
  verbs: [list, watch, patch]  # its finalizer
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [list, watch, create, patch, delete]  # server-side apply creates as well
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [list, watch]
- apiGroups: [cert-manager.io]
  resources: [issuers]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, get, create]  # RBAC cannot name an object that is about to be created
- apiGroups: [cert-manager.io]
  resources: [certificates/status]
  verbs: [patch]  # to have one issued once more, where cert-manager took over a Secret without issuing
- apiGroups: [holdfast.dev]
  resources: [oauthclients/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ .Values.operator.configMapName }}]
  verbs: [patch, delete]
- apiGroups: [holdfast.dev]
  resources: [oauthclients/finalizers]
  verbs: [update]  # a Certificate's blockOwnerDeletion, where the admission plugin for it is on
{{- if .Values.approver.issuers }}
- apiGroups: [cert-manager.io]
  resources: [certificaterequests/status]
  verbs: [patch]  # the conditions Approved and Denied
{{- end }}
{{- end }}
{{- define "holdfast.operator.rules.lease" }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]  # RBAC cannot name an object that is about to be created
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "holdfast.operator" . }}]
  verbs: [get, update]
{{- end }}
