package gateway_test

import (
	"context"
	"crypto/rand"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// issuedCode is a code with its record, as the controller creates them.
type issuedCode struct {
	spake.Code
	namespace string
	object    *v1alpha1.PairingCode
}

// withWrongPIN returns the same code with another PIN.
func (c issuedCode) withWrongPIN() spake.Code {
	pin := "000000"
	if c.PIN == pin {
		pin = "000001"
	}
	return spake.Code{LookupID: c.LookupID, PIN: pin}
}

// issueCode creates a code that is valid for the given time.
func issueCode(t *testing.T, namespace string, valid time.Duration, spec v1alpha1.PairingCodeSpec) issuedCode {
	t.Helper()
	lookupID, err := spake.NewLookupID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := spake.NewPIN(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spec.Method = v1alpha1.PairingMethodPIN
	object := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "code-"}, Spec: spec}
	if err := shared.Client().Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	record := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PairingNamespace, Name: v1alpha1.PairingRecordName(lookupID)},
		Type:       v1alpha1.SecretTypePairingRecord,
		Data: map[string][]byte{
			v1alpha1.RecordKeyScalar:    spake.PasswordScalar(lookupID, pin),
			v1alpha1.RecordKeyNamespace: []byte(namespace),
			v1alpha1.RecordKeyCodeName:  []byte(object.Name),
			v1alpha1.RecordKeyCodeUID:   []byte(object.UID),
			v1alpha1.RecordKeyMethod:    []byte(v1alpha1.PairingMethodPIN),
			v1alpha1.RecordKeyTriesUsed: []byte("0"),
			v1alpha1.RecordKeyExpires:   []byte(time.Now().Add(valid).UTC().Format(time.RFC3339)),
		},
	}
	if err := shared.Client().Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Client().Delete(context.Background(), record) })
	return issuedCode{Code: spake.Code{LookupID: lookupID, PIN: pin}, namespace: namespace, object: object}
}

// record returns the stored record.
func (c issuedCode) record(t *testing.T) map[string][]byte {
	t.Helper()
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: v1alpha1.PairingNamespace, Name: v1alpha1.PairingRecordName(c.LookupID)}
	if err := shared.Client().Get(t.Context(), key, &secret); err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// triesUsed returns the number of used tries.
func (c issuedCode) triesUsed(t *testing.T) int {
	t.Helper()
	tries, err := strconv.Atoi(string(c.record(t)[v1alpha1.RecordKeyTriesUsed]))
	if err != nil {
		t.Fatal(err)
	}
	return tries
}

// requests returns the PairingRequests of the code's fleet.
func (c issuedCode) requests(t *testing.T) []v1alpha1.PairingRequest {
	t.Helper()
	var list v1alpha1.PairingRequestList
	if err := shared.Client().List(t.Context(), &list, client.InNamespace(c.namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}
