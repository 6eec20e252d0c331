#!/usr/bin/env bash
# Checks import rules that hold at any depth (the linter checks direct imports only).
set -euo pipefail
module=github.com/mooring-dev/mooring
failed=0

# forbid PACKAGES PATTERN REASON
forbid() {
  local found
  found=$(go list -deps "$1" | grep -E "$2" || true)
  if [ -n "$found" ]; then
    printf '%s must not depend on these: %s\n%s\n' "$1" "$3" "$found" >&2
    failed=1
  fi
}

forbid ./nodeagent/... '^(k8s\.io|sigs\.k8s\.io)/' "the agent runs on machines, not in a cluster"
forbid ./cmd/mooring-agent '^(k8s\.io|sigs\.k8s\.io)/' "the agent runs on machines, not in a cluster"
forbid ./nodeagent/transport/... "^$module/nodeagent/(identity|session|run|local|cli)" "it carries messages and does not know their meaning"
forbid ./nodeagent/identity/... "^$module/nodeagent/(session|run|local|cli)" "an identity needs a connection, not a session"
forbid ./hack/demo "^(testing\$|$module/test)" "people run it"
forbid ./api/errorcode "^(k8s\.io|sigs\.k8s\.io|google\.golang\.org|$module/(api/proto|api/v1alpha1|internal|nodeagent))/?" "the API and the agent share it"
forbid ./api/v1alpha1 "^$module/(api/proto|internal|controllers|nodeagent)" "the API imports nothing of ours but its error codes"
for leaf in ./internal/capabilityname ./internal/foreign; do
  forbid "$leaf" '^(k8s\.io|sigs\.k8s\.io|google\.golang\.org)/' "leaf: every program imports it"
done
forbid ./internal/pairing '^(k8s\.io|sigs\.k8s\.io|google\.golang\.org/grpc)/' "pure package"
forbid ./internal/inputschema '^(k8s\.io|sigs\.k8s\.io|google\.golang\.org/grpc)/' "pure package"
forbid ./internal/identity '^(k8s\.io|sigs\.k8s\.io|google\.golang\.org/grpc)/' "pure package"
forbid ./internal/dispatch '^(k8s\.io/client-go|google\.golang\.org/grpc)/' "pure package"
for product in ./nodeagent/... ./internal/... ./controllers/... ./cmd/...; do
  forbid "$product" "^$module/test" "test doubles are not part of the product"
done
forbid ./controllers/... "^($module/internal/gateway|$module/api/proto|google\\.golang\\.org/grpc\$)" "controllers know Kubernetes, not the wire"
forbid ./internal/gateway/... "^$module/(controllers|nodeagent)" "the gateway faces the network and decides nothing"
exit $failed
