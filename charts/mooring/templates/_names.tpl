{{/* An image: mooring.image (dict "image" .Values.image "chart" .Chart). */}}
{{- define "mooring.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The memory that the Go runtime may use: 90 % of a limit in Mi or Gi. */}}
{{- define "mooring.goMemLimit" -}}
{{- $mib := trimSuffix "Mi" . -}}
{{- if hasSuffix "Gi" . }}{{ $mib = mul 1024 (trimSuffix "Gi" . | int64) }}{{ end -}}
{{ div (mul 9 ($mib | int64)) 10 }}MiB
{{- end -}}

{{/* The scheduling fields of the pods of a component: mooring.scheduling (dict "values" .Values.gateway "component" "gateway"). */}}
{{- define "mooring.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- with .values.topologySpreadConstraints }}
{{- toYaml . | nindent 0 }}
{{- else }}
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {app.kubernetes.io/name: mooring, app.kubernetes.io/component: {{ .component }}}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Arguments that every component takes from its values. */}}
{{- define "mooring.args" -}}
{{- with .logLevel }}
- --log-level={{ . }}
{{- end }}
{{- range .extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Annotations of a pod: the annotations of its values, and an annotation that changes with the endpoints. */}}
{{- define "mooring.podAnnotations" -}}
checksum/endpoints: {{ toJson .root.Values.endpoints | sha256sum }}
{{- with .values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A rule of ConfigMap mooring-serviceaccounts. */}}
{{- define "mooring.rule" -}}
fleet: {{ .fleet }}
{{- with .nodePrefix }}
nodePrefix: {{ . }}
{{- end }}
{{- with .capabilities }}
capabilities: [{{ join ", " . }}]
{{- end }}
{{- end -}}
