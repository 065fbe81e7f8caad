{{- /* Whether reports are written. Fails without the webhook of the chart, whose rights and trusted state they need. */ -}}
{{- define "sealgate.reports" -}}
{{- if .Values.reports.enabled -}}
{{- if not (include "sealgate.inCluster" .) -}}
{{- fail "reports.enabled needs the webhook that the chart installs: leave webhook.url empty" -}}
{{- end -}}
true
{{- end -}}
{{- end -}}
