{{- define "sealgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* The prefix of the names of objects. It is cut so that no suffix makes a name longer than 63 characters. */ -}}
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
{{- /* The name of the ConfigMaps with the trusted state, without their number. */ -}}
{{- define "sealgate.trustedState" -}}{{ include "sealgate.fullname" . }}-trusted-state{{- end -}}

{{- /* The Lease of the leader. Charts that owned the webhooks' rules called it FULLNAME-operator. The name differs so
       that, with this chart's Role, an operator of such a chart cannot renew its Lease and stops within seconds. If it
       stayed the leader, the new replicas, which wait for the rules, would never become ready. */ -}}
{{- define "sealgate.lease" -}}{{ include "sealgate.fullname" . }}-leader{{- end -}}

{{- define "sealgate.caSecret" -}}{{ include "sealgate.fullname" . }}-ca{{- end -}}

{{- /* Whether reviews need a client certificate. Fails if only one of clientCA and clientNames is set. */ -}}
{{- define "sealgate.clientCertificates" -}}
{{- with .Values.webhook -}}
{{- if and .clientCA (not .clientNames) -}}
{{- fail "webhook.clientCA needs webhook.clientNames: without a name, every holder of a certificate of that CA could send reviews" -}}
{{- end -}}
{{- if and .clientNames (not .clientCA) -}}
{{- fail "webhook.clientNames needs webhook.clientCA: without a CA, no client certificate is required" -}}
{{- end -}}
{{- if and .clientCA .url -}}
{{- fail "webhook.clientCA applies to the webhook that the chart installs; configure it at the webhook behind webhook.url instead (sealgate serve --client-ca)" -}}
{{- end -}}
{{- if .clientCA }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The self-test's client certificate, which the operator issues. */ -}}
{{- define "sealgate.selfTestSecret" -}}{{ include "sealgate.fullname" . }}-self-test{{- end -}}

{{- /* Whether the webhook's replicas share a cache. */ -}}
{{- define "sealgate.sharedCache" -}}
{{- if and .Values.sharedCache.enabled (include "sealgate.inCluster" .) -}}
{{- if not .Values.sharedCache.host }}{{ fail "sharedCache.enabled needs sharedCache.host, the server's name or address" }}{{ end -}}
true
{{- end -}}
{{- end -}}

{{- /* The ConfigMap with the trusted root that the operator fetches. */ -}}
{{- define "sealgate.trustedRoot" -}}{{ include "sealgate.fullname" . }}-trusted-root{{- end -}}

{{- /* The Secret with the key of the shared cache, which the operator makes and rotates. */ -}}
{{- define "sealgate.sharedCacheSecret" -}}{{ include "sealgate.fullname" . }}-shared-cache{{- end -}}

{{- /* Whether the chart runs the webhook, that is, whether webhook.url is empty. */ -}}
{{- define "sealgate.inCluster" -}}{{ if not .Values.webhook.url }}true{{ end }}{{- end -}}

{{- /* The components that the chart runs, as a JSON list. */ -}}
{{- define "sealgate.components" -}}
{{- $components := list "operator" -}}
{{- if include "sealgate.inCluster" . }}{{ $components = prepend $components "webhook" }}{{ end -}}
{{- if .Values.signing.enabled }}{{ $components = append $components "signing-worker" }}{{ end -}}
{{- if include "sealgate.signing.events" . }}{{ $components = append $components "signing-events" }}{{ end -}}
{{- if .Values.canary.enabled }}{{ $components = append $components "canary" }}{{ end -}}
{{- if include "sealgate.reports" . }}{{ $components = append $components "reports" }}{{ end -}}
{{ toJson $components }}
{{- end -}}

{{- /* The values of a component as JSON. Takes (dict "root" $ "component" "webhook"). */ -}}
{{- define "sealgate.componentValues" -}}
{{- with .root.Values -}}
{{ dict "webhook" .webhook "operator" .operator "signing-worker" .signing.worker "signing-events" .signing.events "canary" .canary "reports" .reports | dig $.component dict | toJson }}
{{- end -}}
{{- end -}}

{{- /* Whether the operator issues the certificate. */ -}}
{{- define "sealgate.managedCertificates" -}}
{{- if and (include "sealgate.inCluster" .) (not .Values.certificates.certManager.enabled) }}true{{ end -}}
{{- end -}}

{{- /* Takes (dict "root" $ "path" "/validate"). The operator applies caBundle; the chart never writes it, so that
       no upgrade and no GitOps tool removes it. */ -}}
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

{{- /* Selects by a label that the API server sets, so that no user can exempt a namespace by labelling it. */ -}}
{{- define "sealgate.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ include "sealgate.excludedNamespaces" . }}
{{- end -}}

{{- /* Annotations of the webhook configurations. Without it, AKS adds exceptions to namespaceSelector, by labels that
       users may set; elsewhere the annotation has no effect. */ -}}
{{- define "sealgate.webhookAnnotations" -}}
annotations:
  admissions.enforcer/disabled: "true"
  {{- if and .Values.certificates.certManager.enabled (include "sealgate.inCluster" .) }}
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "sealgate.fullname" . }}-webhook
  {{- end }}
{{- end -}}

{{- /* Whether the webhook's pods use the host network. */ -}}
{{- define "sealgate.hostNetwork" -}}
{{- if and .Values.webhook.hostNetwork.enabled (include "sealgate.inCluster" .) }}true{{ end -}}
{{- end -}}

{{- /* Fails if the namespace is known to refuse pods with the host network. */ -}}
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

{{- /* The security context of pods. User and group IDs are omitted where the cluster assigns them. */ -}}
{{- define "sealgate.podSecurityContext" -}}
{{- $openshift := .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- if or (eq .Values.omitUserIds "Always") (and (eq .Values.omitUserIds "Auto") $openshift) -}}
{{ omit .Values.podSecurityContext "runAsUser" "runAsGroup" "fsGroup" | toYaml }}
{{- else -}}
{{ toYaml .Values.podSecurityContext }}
{{- end -}}
{{- end -}}

{{- /* Settings of the registry client, the same for all components. */ -}}
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

{{- /* Registries for which the platform's identity is used, as JSON for the settings files. */ -}}
{{- define "sealgate.platformCredentials" -}}
{{- $entries := list -}}
{{- range $index, $entry := .Values.registries.platformCredentials -}}
{{- $file := ternary (printf "/var/run/secrets/sealgate.dev/pull/%d" $index) "" (not (empty (include "sealgate.pullTokens.audience" $entry))) -}}
{{- $entries = append $entries (merge (dict "tokenFile" $file) (omit $entry "tokenAudience") (dict "parameters" dict "metadataService" false)) -}}
{{- end -}}
{{ toJson $entries }}
{{- end -}}

{{- /* The tokens with which the webhook and the reports' process ask clouds for pull credentials. */ -}}
{{- define "sealgate.pullTokens.mount" -}}
{{- if include "sealgate.pullTokens.sources" . -}}
- {name: pull-tokens, mountPath: /var/run/secrets/sealgate.dev/pull, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "sealgate.pullTokens.volume" -}}
{{- with include "sealgate.pullTokens.sources" . -}}
- name: pull-tokens
  projected:
    sources:
      {{- trim . | nindent 6 }}
{{- end -}}
{{- end -}}

{{- /* The audience of the token of one entry; empty for no token. Google expects https: and the provider's name. */ -}}
{{- define "sealgate.pullTokens.audience" -}}
{{- $audience := dig "parameters" "audience" "" . -}}
{{- .tokenAudience | default (ternary (printf "https:%s" $audience) "" (and (eq .provider "google") (not (empty $audience)))) -}}
{{- end -}}

{{- define "sealgate.pullTokens.sources" -}}
{{- range $index, $entry := .Values.registries.platformCredentials }}
{{- with include "sealgate.pullTokens.audience" $entry }}
- serviceAccountToken:
    path: {{ $index | quote }}
    audience: {{ . | quote }}
    expirationSeconds: 3600
{{- end }}
{{- end }}
{{- end -}}

{{- /* Fields of the pod spec that all components share. Takes (dict "root" $ "component" "webhook" "values" .Values.webhook). */ -}}
{{- define "sealgate.podSettings" -}}
serviceAccountName: {{ include "sealgate.fullname" .root }}-{{ .component }}
automountServiceAccountToken: true  # every component watches the API server
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

{{- /* The identities with which the operator and the signing worker ask key management services. */ -}}
{{- define "sealgate.kms.settings" -}}
{{- with .Values.kms -}}
{{- if and .google.audience .google.metadataService -}}
{{- fail "kms.google has audience and metadataService: set one of them" -}}
{{- end -}}
googleAudience: {{ .google.audience | quote }}
vaultAddress: {{ .vault.address | quote }}
metadataServices: {{ include "sealgate.kms.metadataServices" $ }}
azureClientId: {{ .azure.clientId | quote }}
{{- end -}}
{{- end -}}

{{- /* The providers whose metadata service is asked for an identity for keys, as JSON. */ -}}
{{- define "sealgate.kms.metadataServices" -}}
{{- $found := list -}}
{{- range $provider := list "aws" "azure" "google" "huawei" -}}
{{- if (index $.Values.kms $provider).metadataService }}{{ $found = append $found $provider }}{{ end -}}
{{- end -}}
{{ toJson $found }}
{{- end -}}

{{- /* The providers whose metadata service a component asks, as JSON: of keys, or of pull credentials.
       Takes (dict "root" $ "component" "webhook"). */ -}}
{{- define "sealgate.metadataServices" -}}
{{- $found := list -}}
{{- if has .component (list "operator" "signing-worker") -}}
{{- $found = include "sealgate.kms.metadataServices" .root | fromJsonArray -}}
{{- end -}}
{{- if has .component (list "webhook" "reports") -}}
{{- range .root.Values.registries.platformCredentials -}}
{{- if .metadataService }}{{ $found = append $found .provider }}{{ end -}}
{{- end -}}
{{- end -}}
{{ toJson ($found | uniq) }}
{{- end -}}

{{- /* The tokens with which the operator and the signing worker ask key management services. */ -}}
{{- define "sealgate.kms.mounts" -}}
{{- with .Values.kms -}}
{{- if .google.audience }}
- {name: google-token, mountPath: /var/run/secrets/sealgate.dev/google, readOnly: true}
{{- end }}
{{- if .vault.address }}
- {name: vault-token, mountPath: /var/run/secrets/sealgate.dev/vault, readOnly: true}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "sealgate.kms.volumes" -}}
{{- with .Values.kms -}}
{{- if .google.audience }}
- name: google-token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ .google.tokenAudience | default (printf "https:%s" .google.audience) | quote }}
          expirationSeconds: 3600
{{- end }}
{{- if .vault.address }}
- name: vault-token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ .vault.audience | quote }}
          expirationSeconds: 3600
{{- end }}
{{- end -}}
{{- end -}}

{{- /* Environment variables of all components. */ -}}
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

{{- /* The custom kinds as JSON. A kind is identified by group and name. Fails if one is listed twice. */ -}}
{{- define "sealgate.customKinds" -}}
{{- $seen := dict -}}
{{- range .Values.customKinds -}}
{{- $name := printf "%s/%s" .group .kind -}}
{{- if hasKey $seen $name }}{{ fail (printf "customKinds lists %s twice: give all its fields in one entry" $name) }}{{ end -}}
{{- $_ := set $seen $name true -}}
{{- end -}}
{{ .Values.customKinds | toJson }}
{{- end -}}

{{- /* Where the webhook uses the pull secrets of pods: true (everywhere), false, or a JSON list of namespaces. */ -}}
{{- define "sealgate.pullSecrets" -}}
{{- with .Values.webhook.pullSecrets -}}
{{ if and .enabled .namespaces }}{{ .namespaces | uniq | toJson }}{{ else }}{{ .enabled }}{{ end }}
{{- end -}}
{{- end -}}
