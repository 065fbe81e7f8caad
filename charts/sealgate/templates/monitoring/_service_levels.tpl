{{- /* What the objectives of availability and latency are measured by, over the windows of the burn-rate alerts.
       Objectives, over 30 days: 99.9 % of the images of each registry are decided about, and 99 % of the reviews are
       answered within a second. Takes (dict "job" the label matchers of the webhook). */ -}}
{{- define "sealgate.serviceLevelRules" -}}
{{- $job := .job -}}
{{- $labels := regexReplaceAll "([a-z]+)=\"([^\"]+)\"" $job "$1: $2" -}}
- name: sealgate-service-levels
  rules:
    {{- range $window := list "5m" "30m" "1h" "6h" }}
    - record: sealgate:image_unavailable:ratio_rate{{ $window }}
      labels: { {{- $labels -}} }
      expr: |-
        sum by (host) (rate(sealgate_registry_verdicts_total{ {{- $job -}} ,verdict="unavailable"}[{{ $window }}]))
          / sum by (host) (rate(sealgate_registry_verdicts_total{ {{- $job -}} }[{{ $window }}]))
    - record: sealgate:admission_slow:ratio_rate{{ $window }}
      labels: { {{- $labels -}} }
      expr: |-
        1 - sum(rate(sealgate_admission_review_duration_seconds_bucket{ {{- $job -}} ,endpoint=~"mutate|validate",le="1.0"}[{{ $window }}]))
          / sum(rate(sealgate_admission_review_duration_seconds_count{ {{- $job -}} ,endpoint=~"mutate|validate"}[{{ $window }}]))
    {{- end }}
{{- end -}}
