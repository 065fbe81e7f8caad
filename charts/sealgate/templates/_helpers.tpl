{{- define "sealgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* Names of objects begin with this. It is cut so that no suffix makes a name longer than 63 characters. */ -}}
{{- define "sealgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "sealgate.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sealgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sealgate.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /* Takes (dict "root" $ "component" "webhook"); the component may be left out. */ -}}
{{- define "sealgate.labels" -}}
app.kubernetes.io/name: {{ include "sealgate.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/part-of: sealgate
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Takes (dict "root" $ "image" .Values.webhook.image). */ -}}
{{- define "sealgate.image" -}}
{{- .image.repository -}}
{{- if or .image.tag (not .image.digest) -}}:{{ .image.tag | default .root.Chart.AppVersion }}{{- end -}}
{{- with .image.digest -}}@{{ . }}{{- end -}}
{{- end -}}

{{- define "sealgate.tlsSecret" -}}{{ include "sealgate.fullname" . }}-webhook-tls{{- end -}}
{{- /* The ConfigMaps that remember versions, without their number. */ -}}
{{- define "sealgate.trustedState" -}}{{ include "sealgate.fullname" . }}-trusted-state{{- end -}}

{{- /* The Lease of the replica that works. Charts that owned the webhooks' rules called it FULLNAME-operator. Under another
       name an operator of those loses, with this chart's Role, the right to renew its Lease and stops within seconds;
       leading on, it would keep the new replicas, which wait for the rules, from ever becoming ready. */ -}}
{{- define "sealgate.lease" -}}{{ include "sealgate.fullname" . }}-leader{{- end -}}

{{- define "sealgate.caSecret" -}}{{ include "sealgate.fullname" . }}-ca{{- end -}}

{{- /* Whether reviews need a client certificate. Fails where only half of it is said. */ -}}
{{- define "sealgate.clientCertificates" -}}
{{- with .Values.webhook -}}
{{- if and .clientCA (not .clientNames) -}}
{{- fail "webhook.clientCA needs webhook.clientNames: without a name, everybody to whom that CA has issued a certificate could send reviews" -}}
{{- end -}}
{{- if and .clientNames (not .clientCA) -}}
{{- fail "webhook.clientNames needs webhook.clientCA: without it no client certificate is asked for" -}}
{{- end -}}
{{- if and .clientCA .url -}}
{{- fail "webhook.clientCA is for the webhook that the chart installs; give the one at webhook.url its own (sealgate serve --client-ca)" -}}
{{- end -}}
{{- if .clientCA }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The self-test's client certificate, which the operator makes. */ -}}
{{- define "sealgate.selfTestSecret" -}}{{ include "sealgate.fullname" . }}-self-test{{- end -}}

{{- /* Whether the chart runs the webhook, that is, whether it is not somewhere else. */ -}}
{{- define "sealgate.inCluster" -}}{{ if not .Values.webhook.url }}true{{ end }}{{- end -}}

{{- /* Whether the operator issues the certificate. */ -}}
{{- define "sealgate.managedCertificates" -}}
{{- if and (include "sealgate.inCluster" .) (not .Values.certificates.certManager.enabled) }}true{{ end -}}
{{- end -}}

{{- /* Takes (dict "root" $ "path" "/validate"). The operator fills in caBundle; the chart never writes it, so that
       no upgrade and no GitOps tool takes it out again. */ -}}
{{- define "sealgate.clientConfig" -}}
{{- if .root.Values.webhook.url -}}
url: {{ printf "%s%s" .root.Values.webhook.url .path | quote }}
{{- with .root.Values.webhook.caBundle }}
caBundle: {{ . | quote }}
{{- end }}
{{- else -}}
service:
  namespace: {{ .root.Release.Namespace }}
  name: {{ include "sealgate.fullname" .root }}-webhook
  port: 443
  path: {{ .path }}
{{- end -}}
{{- end -}}

{{- /* The namespaces whose pods are not sent to the webhook, as a JSON list. */ -}}
{{- define "sealgate.excludedNamespaces" -}}
{{ append .Values.webhook.excludedNamespaces .Release.Namespace | uniq | toJson }}
{{- end -}}

{{- /* Only by a label that the API server writes itself: nobody can exempt a namespace by labelling it. */ -}}
{{- define "sealgate.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ include "sealgate.excludedNamespaces" . }}
{{- end -}}

{{- /* Annotations of the webhook configurations. AKS otherwise adds exceptions of its own to namespaceSelector, by labels
       that users may set; elsewhere the annotation has no effect. */ -}}
{{- define "sealgate.webhookAnnotations" -}}
annotations:
  admissions.enforcer/disabled: "true"
  {{- if and .Values.certificates.certManager.enabled (include "sealgate.inCluster" .) }}
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "sealgate.fullname" . }}-webhook
  {{- end }}
{{- end -}}

{{- /* Whether the webhook's pods use the network of their node. */ -}}
{{- define "sealgate.hostNetwork" -}}
{{- if and .Values.webhook.hostNetwork.enabled (include "sealgate.inCluster" .) }}true{{ end -}}
{{- end -}}

{{- /* Fails where the namespace is known to refuse pods in the network of their node. */ -}}
{{- define "sealgate.checkPodSecurity" -}}
{{- $namespace := lookup "v1" "Namespace" "" .Release.Namespace }}
{{- $level := dig "metadata" "labels" "pod-security.kubernetes.io/enforce" "" $namespace }}
{{- if and (include "sealgate.hostNetwork" .) (has $level (list "baseline" "restricted")) }}
{{- fail (printf "webhook.hostNetwork needs Pod Security level privileged, and namespace %s enforces %s: kubectl label --overwrite namespace %s pod-security.kubernetes.io/enforce=privileged" .Release.Namespace $level .Release.Namespace) }}
{{- end }}
{{- end -}}

{{- define "sealgate.webhookPort" -}}
{{ ternary .Values.webhook.hostNetwork.port 8443 (not (empty (include "sealgate.hostNetwork" .))) | int64 }}
{{- end -}}

{{- define "sealgate.webhookMetricsPort" -}}
{{ ternary .Values.webhook.hostNetwork.metricsPort 8080 (not (empty (include "sealgate.hostNetwork" .))) | int64 }}
{{- end -}}

{{- /* The security context of pods. User and group IDs are left out where the cluster assigns them. */ -}}
{{- define "sealgate.podSecurityContext" -}}
{{- $openshift := .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- if or (eq .Values.omitUserIds "Always") (and (eq .Values.omitUserIds "Auto") $openshift) -}}
{{ omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup" | toYaml }}
{{- else -}}
{{ toYaml .Values.podSecurityContext }}
{{- end -}}
{{- end -}}

{{- /* How registries are reached: the same for both components. */ -}}
{{- define "sealgate.registries" -}}
{{- with .Values.registries -}}
insecure: {{ .insecure | toJson }}
private: {{ .private | toJson }}
mirrors: {{ .mirrors | toJson }}
ca: {{ .ca | toJson }}
dockerConfigSecret: {{ .dockerConfigSecret | quote }}
verificationsPerMinute: {{ .verificationsPerMinute | int64 }}
burst: {{ .burst | int64 }}
{{- end -}}
{{- end -}}

{{- /* What the pods of both components share. Takes (dict "root" $ "component" "webhook" "values" .Values.webhook). */ -}}
{{- define "sealgate.podSettings" -}}
serviceAccountName: {{ include "sealgate.fullname" .root }}-{{ .component }}
automountServiceAccountToken: true  # the API server is watched
enableServiceLinks: false
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "sealgate.podSecurityContext" .root | nindent 2 }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | nindent 4 | trim }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- include "sealgate.selectorLabels" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* Environment of both components. */ -}}
{{- define "sealgate.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- with .env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The custom kinds as JSON; a kind is its group and its name, and is there once. */ -}}
{{- define "sealgate.customKinds" -}}
{{- $seen := dict -}}
{{- range .Values.customKinds -}}
{{- $name := printf "%s/%s" .group .kind -}}
{{- if hasKey $seen $name }}{{ fail (printf "customKinds has %s twice: give all its fields in one entry" $name) }}{{ end -}}
{{- $_ := set $seen $name true -}}
{{- end -}}
{{ .Values.customKinds | toJson }}
{{- end -}}
