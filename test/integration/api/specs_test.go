package api_test

import (
	"strings"
)

var (
	keyA = strings.Repeat("a", 64)
	keyB = strings.Repeat("b", 64)
)

// The specs below set every field to a value other than its default, so that a removal is a change.

func nodeSpec(with map[string]any) map[string]any {
	return merged(map[string]any{
		"publicKeySHA256": keyA, "nextPublicKeySHA256": keyB, "pairingRequestUID": "uid-1",
		"desiredState": "Suspended", "revocationReason": "none", "maxInFlight": int64(2),
		"serviceAccount":   map[string]any{"namespace": "machines", "name": "agent", "node": "worker-1", "nodeUID": "uid-8"},
		"capabilityPolicy": map[string]any{"allow": []any{"echo", "system.*"}, "deny": []any{"system.reboot"}},
	}, with)
}

func codeSpec(with map[string]any) map[string]any {
	return merged(map[string]any{
		"method": "QR", "ttlSeconds": int64(60), "nodeName": "bench-3", "nodeLabels": map[string]any{"room": "north"},
		"capabilities": []any{"echo", "system.*"}, "replaceNode": true, "autoApprove": true,
	}, with)
}

func requestSpec(with map[string]any) map[string]any {
	return merged(map[string]any{
		"nodeName": "bench-3", "publicKey": "PEM", "publicKeySHA256": keyA, "method": "PIN",
		"codeName": "code-1", "codeIssuedBy": "ida", "transcriptSHA256": keyB, "verificationCode": "ABCDE-FGHIJ",
		"system": map[string]any{"platform": "linux/amd64"}, "requestedCapabilities": []any{"echo", "system.health"},
		"expiresTime": "2030-01-01T00:00:00Z",
	}, with)
}

func serviceAccountSpec(with map[string]any) map[string]any {
	return merged(map[string]any{
		"nodeName": "bench-3", "publicKey": "PEM", "publicKeySHA256": keyA, "method": "ServiceAccount",
		"serviceAccount":   map[string]any{"namespace": "machines", "name": "agent", "node": "worker-1", "nodeUID": "uid-8"},
		"verificationCode": "ABCDE-FGHIJ", "expiresTime": "2030-01-01T00:00:00Z",
	}, with)
}

func dispatchSpec(with map[string]any) map[string]any {
	return merged(map[string]any{
		"nodeName": "bench-3", "capability": "echo", "input": map[string]any{"text": "hi", "n": int64(1)},
		"maxPayloadBytes": int64(1000), "timeoutSeconds": int64(5), "expirySeconds": int64(60),
		"ttlSecondsAfterFinished": int64(60),
	}, with)
}

// merged sets the given fields in base; a nil value removes a field.
func merged(base, with map[string]any) map[string]any {
	for key, value := range with {
		if value == nil {
			delete(base, key)
			continue
		}
		base[key] = value
	}
	return base
}
