package leader

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

const trustDomain = "mooring.local"

func deviceKey(t *testing.T) (key *ecdsa.PrivateKey, der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		t.Fatal(err)
	}
	return key, der
}

func signed(t *testing.T, key *ecdsa.PrivateKey, p identity.Proof) []byte {
	t.Helper()
	signature, err := identity.SignProof(key, rand.Reader, p)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// requestRevocation writes the fields that a gateway may write: the request and the condition for
// users.
func (w *fixture) requestRevocation(name string, request *v1alpha1.NodeRevocationRequest) {
	w.t.Helper()
	soon.Succeeds(w.t, "the revocation request is written", func(context.Context) error {
		node := &v1alpha1.Node{}
		if err := w.gateway.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, node); err != nil {
			return err
		}
		before := client.MergeFromWithOptions(node.DeepCopy(), client.MergeFromWithOptimisticLock{})
		if request != nil {
			request.RequestedTime = metav1.Now()
		}
		node.Status.RevocationRequest = request
		meta.SetStatusCondition(&node.Status.Conditions, metav1.Condition{
			Type: v1alpha1.ConditionRevocationRequested, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAgentRequested, Message: "stolen",
		})
		return w.gateway.Status().Patch(w.t.Context(), node, before)
	})
}

// waitForReconcile waits until the controller has reconciled the present state of the Node. The controller
// checks the revocation request before it sets Offline for the end of an old session.
func (w *fixture) waitForReconcile(name string) {
	w.t.Helper()
	ended := apiClock.Now().Add(-2 * staleAfter)
	w.applySession(name, "gone", ended, &ended)
	w.waitForNode(name, "Offline", func(n *v1alpha1.Node) bool { return n.Status.Presence == v1alpha1.PresenceOffline })
}
