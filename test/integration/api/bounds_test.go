package api_test

import (
	"fmt"
	"strings"
	"testing"
)

const dnsLabel = "nodeName must be a DNS label"

// A value out of bounds must be refused with a message that names the problem.
func TestSpecsOutOfBoundsAreRefused(t *testing.T) {
	namespace := shared.Namespace(t)
	many := func(n int) (list []any) {
		for i := range n {
			list = append(list, fmt.Sprintf("c%d", i))
		}
		return list
	}
	for _, try := range []struct {
		name, kind string
		spec       map[string]any
		message    string
	}{
		{"a dispatch without a Node", "CapabilityDispatch", dispatchSpec(map[string]any{"nodeName": nil}), "spec.nodeName: " + required},
		{"a Node name with a dot", "CapabilityDispatch", dispatchSpec(map[string]any{"nodeName": "a.b"}), dnsLabel},
		{"a Node name in capitals", "CapabilityDispatch", dispatchSpec(map[string]any{"nodeName": "Bench"}), dnsLabel},
		{"a Node name of 64 characters", "CapabilityDispatch", dispatchSpec(map[string]any{"nodeName": strings.Repeat("a", 64)}), "may not be more than 63"},
		{"a capability with a space", "CapabilityDispatch", dispatchSpec(map[string]any{"capability": "system health"}), "capability must be a dotted lower-case name"},
		{"a capability with a glob", "CapabilityDispatch", dispatchSpec(map[string]any{"capability": "system.*"}), "capability must be a dotted lower-case name"},
		{"an input that is text", "CapabilityDispatch", dispatchSpec(map[string]any{"input": "hi"}), "spec.input in body must be of type object"},
		{"an input that is a list", "CapabilityDispatch", dispatchSpec(map[string]any{"input": []any{"hi"}}), "spec.input in body must be of type object"},
		{"an input that is a number", "CapabilityDispatch", dispatchSpec(map[string]any{"input": int64(1)}), "spec.input in body must be of type object"},
		{"no payload at all", "CapabilityDispatch", dispatchSpec(map[string]any{"maxPayloadBytes": int64(0)}), "should be greater than or equal to 1"},
		{"a payload too large", "CapabilityDispatch", dispatchSpec(map[string]any{"maxPayloadBytes": int64(262145)}), "should be less than or equal to 262144"},
		{"no time to run", "CapabilityDispatch", dispatchSpec(map[string]any{"timeoutSeconds": int64(0)}), "should be greater than or equal to 1"},
		{"more than a day to run", "CapabilityDispatch", dispatchSpec(map[string]any{"timeoutSeconds": int64(86401)}), "should be less than or equal to 86400"},
		{"more than a week to wait", "CapabilityDispatch", dispatchSpec(map[string]any{"expirySeconds": int64(604801)}), "should be less than or equal to 604800"},
		{"a negative time to live", "CapabilityDispatch", dispatchSpec(map[string]any{"ttlSecondsAfterFinished": int64(-1)}), "should be greater than or equal to 0"},

		{"a code of no method", "PairingCode", codeSpec(map[string]any{"method": nil}), "spec.method: " + required},
		{"a code for a ServiceAccount", "PairingCode", codeSpec(map[string]any{"method": "ServiceAccount"}), `supported values: "PIN", "QR"`},
		{"a code of 29 seconds", "PairingCode", codeSpec(map[string]any{"ttlSeconds": int64(29)}), "should be greater than or equal to 30"},
		{"a code of more than a day", "PairingCode", codeSpec(map[string]any{"ttlSeconds": int64(86401)}), "should be less than or equal to 86400"},
		{"a PIN that approves itself", "PairingCode", codeSpec(map[string]any{"method": "PIN"}), "autoApprove needs method QR"},
		{"a replacement of no Node", "PairingCode", codeSpec(map[string]any{"nodeName": nil}), "replaceNode needs nodeName"},
		{"a code for a name with a dot", "PairingCode", codeSpec(map[string]any{"nodeName": "a.b"}), dnsLabel},
		{"a label of Mooring", "PairingCode", codeSpec(map[string]any{"nodeLabels": map[string]any{"mooring.dev/node": "x"}}), "nodeLabels may not use mooring.dev"},
		{"a label key with a space", "PairingCode", codeSpec(map[string]any{"nodeLabels": map[string]any{"a b": "x"}}), "nodeLabels must be valid label keys and values"},
		{"a label value with a space", "PairingCode", codeSpec(map[string]any{"nodeLabels": map[string]any{"a": "x y"}}), "nodeLabels must be valid label keys and values"},
		{"a capability that is no name", "PairingCode", codeSpec(map[string]any{"capabilities": []any{"*"}}), "spec.capabilities[0]"},
		{"257 capabilities", "PairingCode", codeSpec(map[string]any{"capabilities": many(257)}), "must have at most 256 items"},

		{"a request with half a fingerprint", "PairingRequest", requestSpec(map[string]any{"publicKeySHA256": "abc"}), "spec.publicKeySHA256"},
		{"a fingerprint in capitals", "PairingRequest", requestSpec(map[string]any{"publicKeySHA256": strings.ToUpper(keyA)}), "spec.publicKeySHA256"},
		{"a verification code of another form", "PairingRequest", requestSpec(map[string]any{"verificationCode": "123456"}), "spec.verificationCode"},
		{"a PIN without a code", "PairingRequest", requestSpec(map[string]any{"codeName": nil}), "methods PIN and QR need codeName"},
		{"a PIN without an exchange", "PairingRequest", requestSpec(map[string]any{"transcriptSHA256": nil}), "methods PIN and QR need codeName"},
		{"a PIN with a ServiceAccount", "PairingRequest", requestSpec(map[string]any{"serviceAccount": map[string]any{"namespace": "a", "name": "b"}}), "no serviceAccount"},
		{"a ServiceAccount without one", "PairingRequest", serviceAccountSpec(map[string]any{"serviceAccount": nil}), "needs serviceAccount"},
		{"a ServiceAccount with a code", "PairingRequest", serviceAccountSpec(map[string]any{"codeName": "code-1"}), "nothing of a code"},
		{"a request without an end", "PairingRequest", requestSpec(map[string]any{"expiresTime": nil}), "spec.expiresTime: " + required},

		{"a Node without a pin", "Node", nodeSpec(map[string]any{"publicKeySHA256": nil}), "spec.publicKeySHA256: " + required},
		{"a Node of no request", "Node", nodeSpec(map[string]any{"pairingRequestUID": nil}), "spec.pairingRequestUID: " + required},
		{"an unknown state", "Node", nodeSpec(map[string]any{"desiredState": "Deleted"}), `supported values: "Active", "Suspended", "Revoked"`},
		{"no dispatch in flight", "Node", nodeSpec(map[string]any{"maxInFlight": int64(0)}), "should be greater than or equal to 1"},
		{"a policy that allows a bare glob", "Node", nodeSpec(map[string]any{"capabilityPolicy": map[string]any{"allow": []any{"*"}}}), "spec.capabilityPolicy.allow[0]"},
		{"a policy that allows twice", "Node", nodeSpec(map[string]any{"capabilityPolicy": map[string]any{"allow": []any{"echo", "echo"}}}), "Duplicate value"},
	} {
		t.Run(try.name, func(t *testing.T) {
			wantRefused(t, shared.Client().Create(t.Context(), newObject(try.kind, namespace, "bounds", try.spec)), try.message)
		})
	}
}

func TestNodeNamesAreDNSLabels(t *testing.T) {
	namespace := shared.Namespace(t)
	for _, name := range []string{"a.b", strings.Repeat("a", 64)} {
		err := shared.Client().Create(t.Context(), newObject("Node", namespace, name, nodeSpec(nil)))
		wantRefused(t, err, "the name of a Node must be a DNS label")
	}
}

// The bounds are inclusive.
func TestSpecsAtTheirBoundsAreAccepted(t *testing.T) {
	namespace := shared.Namespace(t)
	longest := strings.Repeat("a", 63)
	for i, try := range []struct {
		kind string
		spec map[string]any
	}{
		{"CapabilityDispatch", dispatchSpec(map[string]any{"nodeName": longest, "capability": "a.b-c.d_e", "maxPayloadBytes": int64(262144),
			"timeoutSeconds": int64(86400), "expirySeconds": int64(604800), "ttlSecondsAfterFinished": int64(0)})},
		{"CapabilityDispatch", dispatchSpec(map[string]any{"input": nil, "maxPayloadBytes": int64(1), "timeoutSeconds": int64(1), "expirySeconds": int64(1)})},
		{"CapabilityDispatch", dispatchSpec(map[string]any{"input": map[string]any{}})},
		{"PairingCode", codeSpec(map[string]any{"ttlSeconds": int64(30), "nodeName": longest})},
		{"PairingCode", map[string]any{"method": "PIN", "ttlSeconds": int64(86400)}},
		{"PairingRequest", serviceAccountSpec(nil)},
		{"PairingRequest", requestSpec(map[string]any{"codeIssuedBy": strings.Repeat("u", 1024)})},
		{"Node", nodeSpec(map[string]any{"maxInFlight": int64(64), "nextPublicKeySHA256": nil})},
	} {
		mustCreate(t, newObject(try.kind, namespace, fmt.Sprintf("at-bounds-%d", i), try.spec))
	}
	mustCreate(t, newObject("Node", namespace, longest, nodeSpec(nil)))
}

func TestADecisionMayOnlyNarrowTheGrant(t *testing.T) {
	o := newObject("PairingRequest", shared.Namespace(t), "narrow", requestSpec(nil))
	mustCreate(t, o)
	const narrow = "decision.capabilities may only narrow the grant"
	wantRefused(t, patch(t, shared.Client(), o, `{"spec":{"decision":{"verdict":"Approved","capabilities":["shell.run"]}}}`), narrow)
	wantRefused(t, patch(t, shared.Client(), o, `{"spec":{"decision":{"verdict":"Approved","capabilities":[]}}}`), "should have at least 1 items")
	wantRefused(t, patch(t, shared.Client(), o, `{"spec":{"decision":{"verdict":"Perhaps"}}}`), `supported values: "Approved", "Denied"`)
	wantRefused(t, patch(t, shared.Client(), o, `{"spec":{"decision":{"reason":"because"}}}`), "spec.decision.verdict: "+required)
	wantAccepted(t, patch(t, shared.Client(), o, `{"spec":{"decision":{"verdict":"Approved","capabilities":["echo"]}}}`))
}
