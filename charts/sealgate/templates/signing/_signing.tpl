{{- /* The namespace of the Secrets that sign. Fails if another component could read them there. */ -}}
{{- define "sealgate.signing.namespace" -}}
{{- $namespace := .Values.signing.secretsNamespace | default (printf "%s-signing" .Release.Namespace) -}}
{{- if eq $namespace .Release.Namespace -}}
{{- fail "signing.secretsNamespace is the release's own namespace, whose Secrets the operator reads: give the Secrets that sign a namespace of their own" -}}
{{- end -}}
{{- $pull := .Values.webhook.pullSecrets -}}
{{- if and (include "sealgate.inCluster" .) (eq (include "sealgate.pullSecrets" .) "true") -}}
{{- fail (printf "signing.enabled needs a webhook that cannot read the Secrets of namespace %s: list the namespaces whose pull secrets it uses in webhook.pullSecrets.namespaces, or set webhook.pullSecrets.enabled=false and registries.dockerConfigSecret" $namespace) -}}
{{- end -}}
{{- if and $pull.enabled (has $namespace $pull.namespaces) -}}
{{- fail (printf "webhook.pullSecrets.namespaces lists %s, the namespace of the Secrets that sign: remove it, because only the signing worker may read them" $namespace) -}}
{{- end -}}
{{ $namespace }}
{{- end -}}

{{- /* Whether the endpoint for push events is installed. */ -}}
{{- define "sealgate.signing.events" -}}
{{- with .Values.signing -}}
{{- if and .enabled .events.enabled }}true{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The Lease of the leader among the replicas of the signing worker. */ -}}
{{- define "sealgate.signing.lease" -}}{{ include "sealgate.fullname" . }}-signing{{- end -}}
