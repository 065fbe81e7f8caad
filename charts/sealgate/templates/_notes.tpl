{{- /* Notes about the cluster that the release is installed on. Each part begins with an empty line.
       `lookup` finds nothing without a cluster (helm template) or without the right to read. */ -}}
{{- define "sealgate.notes.where" -}}
{{- include "sealgate.notes.hostNetwork" . -}}
{{- include "sealgate.notes.firewall" . -}}
{{- include "sealgate.notes.nodeCritical" . -}}
{{- end -}}

{{- define "sealgate.notes.hostNetwork" -}}
{{- if include "sealgate.hostNetwork" . }}

ATTENTION: webhook.hostNetwork is enabled. Port {{ include "sealgate.webhookPort" . }} of every node that runs the webhook answers every client that
reaches the node, and NetworkPolicies do not apply to it. Open it to the API server only, in the firewall of the nodes.
{{- end }}
{{- end -}}

{{- /* The control plane of a private GKE cluster reaches only the ports that a firewall rule opens. */ -}}
{{- define "sealgate.notes.firewall" -}}
{{- if and (contains "-gke." .Capabilities.KubeVersion.Version) (include "sealgate.inCluster" .) }}

GKE: in a private cluster, a firewall rule must let the control plane reach TCP port {{ include "sealgate.webhookPort" . }} (docs/install.md).
{{- if and .Values.priorityClassName (not .Values.resourceQuota.enabled) }}
If pods of sealgate are refused because of their priority class, set resourceQuota.enabled=true.
{{- end }}
{{- end }}
{{- end -}}

{{- /* Node-critical DaemonSets (networking, storage, DNS) in namespaces that are not excluded: after the loss of every
       node, sealgate cannot start before them, and their pods cannot be created before sealgate answers. */ -}}
{{- define "sealgate.notes.nodeCritical" -}}
{{- $excluded := include "sealgate.excludedNamespaces" . | fromJsonArray }}
{{- $found := list }}
{{- range (lookup "apps/v1" "DaemonSet" "" "").items }}
{{- $class := dig "spec" "template" "spec" "priorityClassName" "" . }}
{{- if and (eq $class "system-node-critical") (not (has .metadata.namespace $excluded)) }}
{{- $found = append $found (printf "%s/%s" .metadata.namespace .metadata.name) }}
{{- end }}
{{- end }}
{{- if and $found (eq .Values.webhook.failurePolicy "Fail") }}

ATTENTION: these DaemonSets have the class system-node-critical and are in namespaces that are not excluded:
{{- range $found | sortAlpha }}
  {{ . }}
{{- end }}
If every node is lost, sealgate may be unable to start without them, and their pods cannot be created without sealgate.
If nodes need them for networking, storage or DNS, add their namespaces to webhook.excludedNamespaces (docs/runbook.md).
{{- end }}
{{- end -}}

{{- /* What signing still needs. */ -}}
{{- define "sealgate.notes.signing" -}}
{{- if .Values.signing.enabled }}

Signing is enabled. No user may write SigningPolicies until you bind the ClusterRole {{ include "sealgate.fullname" . }}-signing-editor. Keys and push
credentials are Secrets of namespace {{ include "sealgate.signing.namespace" . }} (docs/signing.md). What is signed, and what fails: kubectl get spol
{{- if not .Values.signing.secrets }}

ATTENTION: signing.secrets is empty, so the signing worker may read no Secret, and a SigningPolicy that names one is not Ready.
{{- end }}
{{- end }}
{{- end -}}

{{- /* Sources of push events send their tokens with each event. */ -}}
{{- define "sealgate.notes.events" -}}
{{- if and (include "sealgate.signing.events" .) (not .Values.signing.events.tlsSecret) }}

ATTENTION: the endpoint for push events serves plain HTTP, and its sources send their tokens to it. Let an Ingress in the
cluster end TLS in front of it, or set signing.events.tlsSecret.
{{- end }}
{{- end -}}

{{- /* A client that can send reviews can send them for any namespace. */ -}}
{{- define "sealgate.notes.port" -}}
{{- if and (include "sealgate.inCluster" .) (not (include "sealgate.clientCertificates" .)) }}
{{- if not (and .Values.networkPolicy.enabled .Values.networkPolicy.apiServerFrom) }}

ATTENTION: the port of the webhook is open. Every pod of the cluster can send reviews for any namespace, and so use
its pull secrets, learn digests and verdicts, and cause Events there. To admit only the API server, configure it to
present a client certificate, then set webhook.clientCA and webhook.clientNames (docs/client-certificates.md). Until
then, networkPolicy.apiServerFrom restricts the port to addresses.
{{- end }}
{{- end }}
{{- end -}}
