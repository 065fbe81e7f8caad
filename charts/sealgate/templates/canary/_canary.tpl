{{- /* The namespace of the dry runs, in which nothing runs. Fails if its pods are not sent to the webhook. */ -}}
{{- define "sealgate.canary.namespace" -}}
{{- $name := printf "%s-canary" (.Release.Namespace | trunc 56 | trimSuffix "-") -}}
{{- if has $name .Values.webhook.excludedNamespaces -}}
{{- fail (printf "canary.enabled: webhook.excludedNamespaces lists %s, whose pods the webhook must deny to prove that it works" $name) -}}
{{- end -}}
{{ $name }}
{{- end -}}
