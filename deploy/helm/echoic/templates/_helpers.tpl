{{- define "echoic.name" -}}
{{ .Release.Name | trunc 39 | trimSuffix "-" }}-echoic
{{- end }}

{{- define "echoic.labels" -}}
app.kubernetes.io/name: echoic
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* What the pod that serves and those that index have alike. */}}
{{- define "echoic.image" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- with .Values.environment }}
env:
  {{- range $name, $value := . }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- end }}
{{- with .Values.environmentSecrets }}
envFrom:
  {{- range . }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end }}
volumeMounts:
  - {name: library, mountPath: /library, subPath: library}
  - {name: library, mountPath: /settings, subPath: settings}
  - {name: keys, mountPath: /keys, readOnly: true}
  - {name: scratch, mountPath: /tmp}
  {{- range .Values.sounds }}
  - {name: {{ .name }}, mountPath: /sounds/{{ .name }}, readOnly: true}
  {{- end }}
{{- end }}

{{- define "echoic.volumes" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
automountServiceAccountToken: false
volumes:
  - name: library
    persistentVolumeClaim: {claimName: {{ include "echoic.name" . }}}
  - name: keys
    secret: {secretName: {{ .Values.keysSecret }}}
  - name: scratch
    emptyDir: {}
  {{- with .Values.sounds }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
