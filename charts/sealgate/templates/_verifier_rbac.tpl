{{- /* Rights of components that verify images: the webhook, and the reports. */ -}}

{{- /* Rules of the ClusterRole. */ -}}
{{- define "sealgate.verifier.clusterRules" -}}
# The policies and exceptions, and the labels of namespaces that policies select.
- apiGroups: [sealgate.dev]
  resources: [authenticators, verificationpolicies, verificationexceptions]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- if eq (include "sealgate.pullSecrets" .) "true" }}
# The pull secrets that a pod names, read one by one when a registry requires credentials; hence no list or watch.
- apiGroups: [""]
  resources: [secrets, serviceaccounts]
  verbs: [get]
{{- end }}
{{- end -}}

{{- /* Roles and bindings in namespaces. Takes (dict "root" $ "component" "webhook"). */ -}}
{{- define "sealgate.verifier.roles" -}}
{{- $name := printf "%s-%s" (include "sealgate.fullname" .root) .component }}
{{- $scope := . }}
{{- if .root.Values.webhook.pullSecrets.enabled }}
{{- range $namespace := .root.Values.webhook.pullSecrets.namespaces | uniq }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}-pull-secrets
  namespace: {{ $namespace }}
  labels:
    {{- include "sealgate.labels" $scope | nindent 4 }}
rules:
  # As above, in this namespace only.
  - apiGroups: [""]
    resources: [secrets, serviceaccounts]
    verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}-pull-secrets
  namespace: {{ $namespace }}
  labels:
    {{- include "sealgate.labels" $scope | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}-pull-secrets
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $scope.root.Release.Namespace }}
{{- end }}
{{- end }}
{{- $secrets := compact (append .root.Values.webhook.serviceSecrets .root.Values.registries.dockerConfigSecret) | uniq }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "sealgate.labels" $scope | nindent 4 }}
rules:
  # The trusted state. No component creates or deletes a ConfigMap.
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames:
      {{- range $shard := until 32 }}
      - {{ include "sealgate.trustedState" $scope.root }}-{{ $shard }}
      {{- end }}
    verbs: [get, update]
  {{- if $secrets }}
  - apiGroups: [""]
    resources: [secrets]
    resourceNames: {{ toJson $secrets }}
    verbs: [get]
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "sealgate.labels" $scope | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
