{{- /* Each webhook of the release has a configuration object of its own, so that its `rules` are removed when the chart
       drops it. Takes (dict "root" $ "webhook" "workloads"). */ -}}
{{- define "sealgate.webhookConfiguration" -}}
{{ include "sealgate.fullname" .root }}-{{ .webhook }}
{{- end -}}

{{- /* The webhook configurations and the rules that the operator applies to each. The chart renders the configurations
       without `rules`, and a webhook without rules matches no request: a release whose webhook cannot be called refuses
       no pod. The operator reads this list from the API server, so that a replica from before an upgrade applies the
       rules of the new release. */ -}}
{{- define "sealgate.webhooks" -}}
managedCertificates: {{ ternary true false (not (empty (include "sealgate.managedCertificates" .))) }}
selfTest:
  kind: ValidatingWebhookConfiguration
  name: {{ include "sealgate.webhookConfiguration" (dict "root" . "webhook" "self-test") }}
  webhook: self-test.sealgate.dev
  expected:
    rules:
      {{- include "sealgate.selfTestRules" . | nindent 6 }}
    {{- include "sealgate.webhook.self-test" . | nindent 4 }}
configurations:
  - kind: ValidatingWebhookConfiguration
    name: {{ include "sealgate.webhookConfiguration" (dict "root" . "webhook" "workloads") }}
    webhook: workloads.sealgate.dev
    rules:
      {{- include "sealgate.workloadRules" . | nindent 6 }}
    expected:
      {{- include "sealgate.webhook.workloads" . | nindent 6 }}
  - kind: ValidatingWebhookConfiguration
    name: {{ include "sealgate.webhookConfiguration" (dict "root" . "webhook" "policies") }}
    webhook: policies.sealgate.dev
    rules:
      {{- include "sealgate.policyRules" . | nindent 6 }}
    expected:
      {{- include "sealgate.webhook.policies" . | nindent 6 }}
  - kind: MutatingWebhookConfiguration
    name: {{ include "sealgate.webhookConfiguration" (dict "root" . "webhook" "exceptions") }}
    webhook: exceptions.sealgate.dev
    rules:
      {{- include "sealgate.exceptionRules" . | nindent 6 }}
    expected:
      {{- include "sealgate.webhook.exceptions" . | nindent 6 }}
  {{- if .Values.webhook.pinDigests }}
  - kind: MutatingWebhookConfiguration
    name: {{ include "sealgate.webhookConfiguration" (dict "root" . "webhook" "pods") }}
    webhook: pods.sealgate.dev
    rules:
      {{- include "sealgate.podRules" . | nindent 6 }}
    expected:
      {{- include "sealgate.webhook.pods" . | nindent 6 }}
  {{- end }}
{{- end -}}

{{- /* The fields of each webhook but its name and rules: what its configuration has, and what the operator compares it
       with (`expected`), so that it reports every change by another client. */ -}}
{{- define "sealgate.webhook.workloads" -}}
clientConfig:
  {{- include "sealgate.clientConfig" (dict "root" . "path" "/validate") | nindent 2 }}
namespaceSelector:
  {{- include "sealgate.namespaceSelector" . | nindent 2 }}
matchPolicy: Equivalent
failurePolicy: {{ .Values.webhook.failurePolicy }}
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
sideEffects: NoneOnDryRun  # an Event for a denial, never on a dry run
admissionReviewVersions: [v1]
{{- end -}}

{{- define "sealgate.webhook.policies" -}}
clientConfig:
  {{- include "sealgate.clientConfig" (dict "root" . "path" "/validate-policies") | nindent 2 }}
matchPolicy: Equivalent
failurePolicy: Fail
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
sideEffects: NoneOnDryRun  # an Event for a change of an exception, never on a dry run
admissionReviewVersions: [v1]
{{- end -}}

{{- define "sealgate.webhook.exceptions" -}}
clientConfig:
  {{- include "sealgate.clientConfig" (dict "root" . "path" "/stamp-exceptions") | nindent 2 }}
matchPolicy: Equivalent
failurePolicy: Fail
reinvocationPolicy: IfNeeded  # another webhook may write another name
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
sideEffects: None
admissionReviewVersions: [v1]
{{- end -}}

{{- define "sealgate.webhook.pods" -}}
clientConfig:
  {{- include "sealgate.clientConfig" (dict "root" . "path" "/mutate") | nindent 2 }}
namespaceSelector:
  {{- include "sealgate.namespaceSelector" . | nindent 2 }}
matchPolicy: Equivalent
failurePolicy: {{ .Values.webhook.failurePolicy }}
reinvocationPolicy: IfNeeded  # also pins containers that other webhooks add
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
sideEffects: None
admissionReviewVersions: [v1]
{{- end -}}

{{- define "sealgate.webhook.self-test" -}}
clientConfig:
  {{- include "sealgate.clientConfig" (dict "root" . "path" "/self-test") | nindent 2 }}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
objectSelector:
  matchExpressions:
    - {key: sealgate.dev/self-test, operator: Exists}
matchPolicy: Equivalent
failurePolicy: Fail  # the response to the dry run then says why the webhook cannot be called
timeoutSeconds: 5
sideEffects: None
admissionReviewVersions: [v1]
{{- end -}}

{{- define "sealgate.selfTestRules" -}}
- apiGroups: [coordination.k8s.io]
  apiVersions: [v1]
  operations: [CREATE]
  resources: [leases]
  scope: Namespaced
{{- end -}}

{{- /* Only pods are mutated. */ -}}
{{- define "sealgate.podRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [pods]
  scope: Namespaced
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/ephemeralcontainers]
  scope: Namespaced
{{- end -}}

{{- define "sealgate.workloadRules" -}}
- apiGroups: [""]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: {{ ternary "[pods]" "[pods, replicationcontrollers, podtemplates]" (eq .Values.webhook.workloads "Ignore") }}
  scope: Namespaced
- apiGroups: [""]
  apiVersions: [v1]
  operations: [UPDATE]
  resources: [pods/ephemeralcontainers]
  scope: Namespaced
{{- if ne .Values.webhook.workloads "Ignore" }}
- apiGroups: [apps]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [deployments, replicasets, statefulsets, daemonsets]
  scope: Namespaced
- apiGroups: [batch]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [jobs, cronjobs]
  scope: Namespaced
{{- range .Values.customKinds }}
- apiGroups: [{{ .group }}]
  apiVersions: {{ .versions | toJson }}
  operations: [CREATE, UPDATE]
  resources: [{{ .resource }}]
  scope: Namespaced
{{- end }}
{{- end }}
{{- end -}}

{{- /* Deletions and status are not matched, so that policies can be deleted and the operator can write status
       while the webhook does not answer. */ -}}
{{- define "sealgate.policyRules" -}}
- apiGroups: [sealgate.dev]
  apiVersions: [v1alpha1]
  operations: [CREATE, UPDATE]
  resources: {{ ternary "[authenticators, verificationpolicies, verificationexceptions, signingpolicies]" "[authenticators, verificationpolicies, verificationexceptions]" .Values.signing.enabled }}
  scope: Cluster
{{- end -}}

{{- define "sealgate.exceptionRules" -}}
- apiGroups: [sealgate.dev]
  apiVersions: [v1alpha1]
  operations: [CREATE, UPDATE]
  resources: [verificationexceptions]
  scope: Cluster
{{- end -}}
