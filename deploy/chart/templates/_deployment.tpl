{{- /* Takes (dict "root" $ "component" "server" "name" ... "values" .Values.server). */ -}}

{{- define "registry.settings" -}}
{{- $settings := dict -}}
{{- range $from := list .root.Values.settings .values.settings -}}
{{- range $name, $value := $from -}}
{{- $_ := set $settings $name $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- /* preStop, then what the registry itself takes (defaults as in its settings), then 15 s to clean up. */ -}}
{{- define "registry.graceSeconds" -}}
{{- if .root.Values.terminationGracePeriodSeconds -}}
{{- .root.Values.terminationGracePeriodSeconds -}}
{{- else -}}
{{- $settings := include "registry.settings" . | fromYaml -}}
{{- $drain := get $settings "drain_seconds" | default 0 -}}
{{- $reads := 30 -}}
{{- if hasKey $settings "shutdown_seconds" -}}{{- $reads = $settings.shutdown_seconds -}}{{- end -}}
{{- $uploads := 300 -}}
{{- if hasKey $settings "shutdown_upload_seconds" -}}{{- $uploads = $settings.shutdown_upload_seconds -}}{{- end -}}
{{- add .root.Values.preStopSeconds $drain (max $reads $uploads) 15 -}}
{{- end -}}
{{- end -}}

{{- define "registry.serverEnv" -}}
- name: REGISTRY_HOST
  value: 0.0.0.0
- name: REGISTRY_PORT
  value: "8080"
- name: REGISTRY_EXTERNAL_URL
  value: {{ required "externalUrl is what clients use: https://registry.example.com" .root.Values.externalUrl | quote }}
- name: REGISTRY_STORAGE_URL
  value: {{ required "storageUrl names the bucket: s3://bucket/prefix?region=eu-central-1" .root.Values.storageUrl | quote }}
{{ include "registry.databaseEnv" .root }}
{{- if .root.Values.secrets.keys.rootToken }}
- name: REGISTRY_ROOT_TOKEN_FILE
  value: /run/secrets/registry/root-token
{{- end }}
{{- if .root.Values.secrets.keys.signingKey }}
- name: REGISTRY_SIGNING_KEY_FILE
  value: /run/secrets/registry/signing-key
{{- end }}
{{- if .root.Values.secrets.keys.awsCredentials }}
- name: AWS_SHARED_CREDENTIALS_FILE
  value: /run/secrets/registry/aws-credentials
{{- end }}
{{- range $name, $value := include "registry.settings" . | fromYaml }}
- name: REGISTRY_{{ upper $name }}
  # Numbers of a values file are floats to helm: 67108864 must not become 6.7108864e+07.
  value: {{ ternary (int64 $value) $value (kindIs "float64" $value) | toString | quote }}
{{- end }}
{{- end -}}

{{- define "registry.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "registry.labels" . | nindent 4 }}
spec:
  {{- if not .values.autoscaling.enabled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # Reads need every replica there is: the next one is ready before one goes.
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "registry.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "registry.labels" . | nindent 8 }}
        {{- with .root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: registry
        {{- if .root.Values.secrets.rollOnChange }}
        {{- $secret := lookup "v1" "Secret" .root.Release.Namespace .root.Values.secrets.existingSecret }}
        # Of the version of the Secret, not of what is in it.
        checksum/secrets: {{ dig "metadata" "resourceVersion" "unknown" $secret | sha256sum | quote }}
        {{- end }}
        checksum/settings: {{ include "registry.serverEnv" . | sha256sum | quote }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "registry.serviceAccountName" .root }}
      # Roles are projected by the cloud's webhook; the registry itself does not talk to Kubernetes.
      automountServiceAccountToken: false
      # A Service called `registry` would inject REGISTRY_PORT and the like, which the registry reads as its settings.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "registry.graceSeconds" . }}
      securityContext:
        {{- include "registry.podSecurityContext" . | nindent 8 }}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .root.Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- with .values.topologySpreadConstraints }}
        {{- toYaml . | nindent 8 }}
        {{- else }}
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          # Of this rollout alone, so that the pods it replaces do not count.
          matchLabelKeys: [pod-template-hash]
          labelSelector:
            matchLabels:
              {{- include "registry.selector" $ | nindent 14 }}
        {{- end }}
        {{- end }}
      containers:
        - name: registry
          image: {{ include "registry.image" .root | quote }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: [serve]
          env:
            {{- include "registry.serverEnv" . | nindent 12 }}
          ports:
            - {name: http, containerPort: 8080, protocol: TCP}
          # It listens once Postgres and the schema are there, for which it waits a minute by itself.
          startupProbe:
            httpGet: {path: /-/readiness, port: http}
            periodSeconds: 2
            timeoutSeconds: 3
            failureThreshold: 60
          # Not ready while it drains. An outage of Postgres or the store does not count: all replicas would go at once.
          readinessProbe:
            httpGet: {path: /-/readiness, port: http}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          # The event loop turns; nothing else is asked.
          livenessProbe:
            httpGet: {path: /-/liveness, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            preStop:
              sleep: {seconds: {{ .root.Values.preStopSeconds }}}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            {{- include "registry.containerSecurityContext" . | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            - {name: secrets, mountPath: /run/secrets/registry, readOnly: true}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: {{ .root.Values.tmpSizeLimit }}}
        {{- include "registry.secretVolume" (dict "root" .root "keys" (list "databaseUrl" "databaseDirectUrl" "rootToken" "signingKey" "awsCredentials")) | nindent 8 }}
{{- end -}}

{{- define "registry.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "registry.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .name }}}
  minReplicas: {{ .values.autoscaling.minReplicas }}
  maxReplicas: {{ .values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .values.autoscaling.targetCPUUtilizationPercentage }}}
    {{- with .values.autoscaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  behavior:
    # CI comes in bursts: up at once, down slowly.
    scaleUp: {stabilizationWindowSeconds: 0}
    scaleDown:
      stabilizationWindowSeconds: 300
      policies:
        - {type: Pods, value: 1, periodSeconds: 60}
{{- end -}}

{{- define "registry.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "registry.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .values.podDisruptionBudget.maxUnavailable }}
  # A pod that is not ready anyway does not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "registry.selector" . | nindent 6 }}
{{- end -}}

{{- define "registry.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "registry.labels" . | nindent 4 }}
  {{- with .root.Values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  selector:
    {{- include "registry.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .root.Values.service.port }}, targetPort: http, protocol: TCP, appProtocol: http}
{{- end -}}
