package controllers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// machine is one device and the PairingRequest that a gateway created for it.
type machine struct {
	key     *ecdsa.PrivateKey
	pin     string
	request *v1alpha1.PairingRequest
}

func newKey(t *testing.T) (key *ecdsa.PrivateKey, fingerprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, err = identity.FingerprintSPKI(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, fingerprint
}

// newMachine returns the request of an honest gateway for a machine that knew the code.
func newMachine(t *testing.T, code *v1alpha1.PairingCode, nodeName string) machine {
	t.Helper()
	key, pin := newKey(t)
	text, err := identity.MarshalPublicKeyPEM(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return machine{key: key, pin: pin, request: &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: code.Namespace, Name: fmt.Sprintf("%s-%s-%s", nodeName, pin[:8], strings.ToLower(code.Status.LookupID)),
		},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName: nodeName, PublicKey: string(text), PublicKeySHA256: pin,
			Method: code.Spec.Method, CodeName: code.Name, CodeIssuedBy: code.Spec.IssuedBy,
			TranscriptSHA256: strings.Repeat("0a", 32), VerificationCode: pairing.VerificationCode(pin),
			RequestedCapabilities: []string{"echo", "system.health"},
			ExpiresTime:           metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second)),
		},
	}}
}

// send consumes the code and creates the request, with the rights of a gateway.
func (m machine) send(t *testing.T, code *v1alpha1.PairingCode) {
	t.Helper()
	updateRecordAsGateway(t, code, map[string]string{v1alpha1.RecordKeyConsumedBy: m.pin, v1alpha1.RecordKeyRequestName: m.request.Name})
	m.create(t)
}

func (m machine) create(t *testing.T) {
	t.Helper()
	if err := gatewayClient(t).Create(t.Context(), m.request); err != nil {
		t.Fatalf("create a request: %v", err)
	}
}

// newPendingMachine returns a machine whose request is Pending.
func newPendingMachine(t *testing.T, code *v1alpha1.PairingCode, nodeName string) machine {
	t.Helper()
	m := newMachine(t, code, nodeName)
	m.send(t, code)
	m.awaitPhase(t, v1alpha1.PairingRequestPending)
	return m
}

func (m machine) awaitPhase(t *testing.T, phase v1alpha1.PairingRequestPhase) {
	t.Helper()
	waitForObject(t, fmt.Sprintf("the request is %s", phase), m.request, func(request *v1alpha1.PairingRequest) error {
		if request.Status.Phase != phase {
			return fmt.Errorf("phase is %q: %+v", request.Status.Phase, request.Status.Conditions)
		}
		return nil
	})
}

// newApprovedMachine returns a machine that a person approved.
func newApprovedMachine(t *testing.T, namespace, nodeName string) machine {
	t.Helper()
	m := newPendingMachine(t, newCode(t, namespace, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}), nodeName)
	m.decide(t, `{"verdict":"Approved"}`)
	m.awaitPhase(t, v1alpha1.PairingRequestApproved)
	return m
}

// decide patches the decision as a user with the verb approve.
func (m machine) decide(t *testing.T, decision string) {
	t.Helper()
	approver := shared.ClientFor(t, shared.UserConfig("ada", "system:masters"))
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":`+decision+`}}`))
	if err := approver.Patch(t.Context(), m.request.DeepCopy(), patch); err != nil {
		t.Fatalf("decide: %v", err)
	}
}

func (m machine) node() *v1alpha1.Node {
	return &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: m.request.Namespace, Name: m.request.Spec.NodeName}}
}

func (m machine) id() identity.ID {
	return identity.ID{TrustDomain: trustDomain, Namespace: m.request.Namespace, Node: m.request.Spec.NodeName}
}

func (m machine) csr(t *testing.T) []byte {
	t.Helper()
	der, err := identity.NewCSR(m.key, m.id())
	if err != nil {
		t.Fatal(err)
	}
	return der
}
