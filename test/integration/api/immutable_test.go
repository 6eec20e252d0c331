package api_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// immutableField is an immutable field of spec, even for the administrator.
type immutableField struct {
	field   string
	changed any
	message string // message of the refusal of a change
	removed string // message of the refusal of a removal; "" if admission restores the field
}

const required = "Required value"

// Three attempts per immutable field: a change, a removal by a patch, and a PUT without the field.
func TestImmutableFieldsStayWhatTheyAre(t *testing.T) {
	const another = ": create another CapabilityDispatch"
	decided := map[string]any{"verdict": "Denied", "by": "admin", "reason": "unknown machine", "capabilities": []any{"echo"}}
	for _, kind := range []struct {
		kind   string
		spec   map[string]any
		fields []immutableField
	}{
		{"PairingCode", codeSpec(nil), immutableFields("the spec of a PairingCode is immutable",
			"ttlSeconds", int64(61), "nodeLabels", map[string]any{"room": "south"}, "capabilities", []any{"echo"}, "autoApprove", false)},
		{"PairingCode", codeSpec(map[string]any{"replaceNode": nil}), []immutableField{
			{"method", "PIN", "the spec of a PairingCode is immutable", required},
			{"nodeName", "other", "the spec of a PairingCode is immutable", "the spec of a PairingCode is immutable"},
			{"replaceNode", true, "the spec of a PairingCode is immutable", ""},
			{"issuedBy", "mallory", "the spec of a PairingCode is immutable", ""},
		}},
		{"PairingRequest", requestSpec(nil), []immutableField{
			{"nodeName", "other", "nodeName is immutable", required},
			{"publicKey", "other", "publicKey is immutable", required},
			{"publicKeySHA256", keyB, "publicKeySHA256 is immutable", required},
			{"method", "QR", "method is immutable", required},
			{"codeName", "other", "codeName is immutable", "codeName is immutable"},
			{"codeIssuedBy", "other", "codeIssuedBy is immutable", "codeIssuedBy is immutable"},
			{"transcriptSHA256", keyA, "transcriptSHA256 is immutable", "transcriptSHA256 is immutable"},
			{"verificationCode", "KKKKK-KKKKK", "verificationCode is immutable", required},
			{"system", map[string]any{"platform": "plan9/arm"}, "system is immutable", "system is immutable"},
			{"requestedCapabilities", []any{"echo"}, "requestedCapabilities is immutable", "requestedCapabilities is immutable"},
			{"expiresTime", "2031-01-01T00:00:00Z", "expiresTime is immutable", required},
		}},
		{"PairingRequest", serviceAccountSpec(nil), []immutableField{
			{"serviceAccount", map[string]any{"name": "other"}, "serviceAccount is immutable", "serviceAccount is immutable"},
		}},
		{"PairingRequest", requestSpec(map[string]any{"decision": decided}), []immutableField{
			{"decision", map[string]any{"verdict": "Approved"}, "the decision is final", "the decision is final"},
			{"decision", map[string]any{"reason": "other"}, "the decision is final", "the decision is final"},
			{"decision", map[string]any{"capabilities": []any{"system.health"}}, "the decision is final", "the decision is final"},
			{"decision", map[string]any{"by": "mallory"}, "the decision is final", "the decision is final"},
		}},
		{"CapabilityDispatch", dispatchSpec(map[string]any{"cancel": true}), []immutableField{
			{"nodeName", "other", "nodeName is immutable" + another, required},
			{"capability", "system.health", "capability is immutable" + another, required},
			{"input", map[string]any{"text": "ho"}, "input is immutable" + another, "input is immutable" + another},
			{"maxPayloadBytes", int64(1001), "maxPayloadBytes is immutable" + another, "maxPayloadBytes is immutable" + another},
			{"timeoutSeconds", int64(6), "timeoutSeconds is immutable" + another, "timeoutSeconds is immutable" + another},
			{"expirySeconds", int64(61), "expirySeconds is immutable" + another, "expirySeconds is immutable" + another},
			{"requestedBy", "mallory", "requestedBy is immutable", ""},
			{"cancel", false, "cancel can only go from false to true: leave spec.cancel out of the manifest, or create another CapabilityDispatch", "cancel can only go from false to true: leave spec.cancel out of the manifest, or create another CapabilityDispatch"},
		}},
		{"Node", nodeSpec(map[string]any{"desiredState": "Revoked"}), []immutableField{
			{"desiredState", "Active", "desiredState Revoked is final", "desiredState Revoked is final"},
			{"publicKeySHA256", keyB, "the keys of a Revoked Node cannot change", required},
			{"pairingRequestUID", "uid-2", "the keys of a Revoked Node cannot change", required},
		}},
	} {
		o := newObject(kind.kind, shared.Namespace(t), "frozen", kind.spec)
		createDecided(t, o)
		for _, field := range kind.fields {
			t.Run(kind.kind+" "+field.field, func(t *testing.T) { checkImmutable(t, o, field) })
		}
		t.Run(kind.kind+" spec", func(t *testing.T) { checkSpecRequired(t, o) })
	}
}

// immutableFields lists fields and changed values that are refused with one message.
func immutableFields(message string, pairs ...any) []immutableField {
	var fields []immutableField
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, immutableField{pairs[i].(string), pairs[i+1], message, message})
	}
	return fields
}

// createDecided creates the object and then sets its decision, which a create may not contain.
func createDecided(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	decision, decided, _ := unstructured.NestedMap(o.Object, "spec", "decision")
	unstructured.RemoveNestedField(o.Object, "spec", "decision")
	mustCreate(t, o)
	if decided {
		delete(decision, "by")
		wantAccepted(t, patch(t, shared.Client(), o, body(t, "decision", decision)))
	}
}

func checkImmutable(t *testing.T, o *unstructured.Unstructured, field immutableField) {
	before := getLive(t, o).Object["spec"]
	wantRefused(t, patch(t, shared.Client(), o, body(t, field.field, field.changed)), field.message)

	byPatch := patch(t, shared.Client(), o, body(t, field.field, nil))
	put := getLive(t, o)
	unstructured.RemoveNestedField(put.Object, "spec", field.field)
	byPut := shared.Client().Update(t.Context(), put)
	if field.removed == "" {
		wantAccepted(t, byPatch)
		wantAccepted(t, byPut)
	} else {
		wantRefused(t, byPatch, field.removed)
		wantRefused(t, byPut, field.removed)
	}
	if after := getLive(t, o).Object["spec"]; !reflect.DeepEqual(before, after) {
		t.Errorf("spec changed from %v to %v", before, after)
	}
}

// checkSpecRequired removes the whole spec, which would remove every rule about it.
func checkSpecRequired(t *testing.T, o *unstructured.Unstructured) {
	before := getLive(t, o).Object["spec"]
	put, null, empty := getLive(t, o), getLive(t, o), getLive(t, o)
	delete(put.Object, "spec")
	null.Object["spec"] = nil
	empty.Object["spec"] = map[string]any{}
	c := shared.Client()
	wantRefused(t, patch(t, c, o, `{"spec":null}`), required)
	wantRefused(t, c.Update(t.Context(), put), required)
	wantRefused(t, c.Update(t.Context(), null), "spec")
	wantRefused(t, c.Update(t.Context(), empty), required)
	if after := getLive(t, o).Object["spec"]; !reflect.DeepEqual(before, after) {
		t.Errorf("spec changed from %v to %v", before, after)
	}
}

func body(t *testing.T, field string, value any) string {
	t.Helper()
	data, err := json.Marshal(map[string]any{"spec": map[string]any{field: value}})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
