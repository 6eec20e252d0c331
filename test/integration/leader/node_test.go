package leader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

func conditionSummary(node *v1alpha1.Node, kind string) string {
	if c := meta.FindStatusCondition(node.Status.Conditions, kind); c != nil {
		return string(c.Status) + "/" + c.Reason
	}
	return ""
}

func TestANewNodeIsHeldPendingAndOffline(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	node := w.waitForNode("n", "described", func(n *v1alpha1.Node) bool { return n.Status.FingerprintShort != "" })
	if len(node.Finalizers) != 1 || node.Status.Presence != v1alpha1.PresenceOffline || node.Status.Trust != v1alpha1.TrustPending || node.Status.Since == nil {
		t.Errorf("finalizers %v, presence %s, trust %s, since %v", node.Finalizers, node.Status.Presence, node.Status.Trust, node.Status.Since)
	}
	for kind, want := range map[string]string{v1alpha1.ConditionReady: "False/CertificatePending", v1alpha1.ConditionConnected: "False/NeverConnected"} {
		if got := conditionSummary(node, kind); got != want {
			t.Errorf("condition %s = %s, want %s", kind, got, want)
		}
	}
}

func TestTheGatewayOwnsPresenceWhileItsSessionLasts(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	gateway := w.namespace + "-alive"
	w.createLease(gateway, -time.Hour) // renewed in the future: it is valid longer than this test runs
	w.applySession("n", gateway, apiClock.Now(), nil)
	node := w.waitForNode("n", "reviewed", func(n *v1alpha1.Node) bool {
		return conditionSummary(n, v1alpha1.ConditionCapabilityReviewRequired) == "True/CapabilitiesNotGranted"
	})
	if node.Status.Presence != v1alpha1.PresenceOnline || conditionSummary(node, v1alpha1.ConditionConnected) != "True/SessionStarted" {
		t.Errorf("presence %s, Connected %s", node.Status.Presence, conditionSummary(node, v1alpha1.ConditionConnected))
	}
}

func TestACleanEndTurnsStaleIntoOfflineAndANewSessionWins(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	gateway := w.namespace + "-alive"
	w.createLease(gateway, -time.Hour)
	now := apiClock.Now()
	w.applySession("n", gateway, now.Add(-time.Minute), &now)
	node := w.waitForNode("n", "Offline", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOffline && n.Status.Since != nil
	})
	if since := node.Status.Since.Sub(now.Truncate(time.Second)); since < staleAfter {
		t.Errorf("Offline %s after the end, want at least %s", since, staleAfter)
	}
	if got := conditionSummary(node, v1alpha1.ConditionConnected); got != "False/SessionLost" {
		t.Errorf("Connected = %s, want the reason of the gateway", got)
	}

	w.applySession("n", gateway, node.Status.SessionEndedTime.Add(time.Second), nil)
	w.waitForNode("n", "Online without an end", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOnline && n.Status.SessionEndedTime == nil && conditionSummary(n, v1alpha1.ConditionConnected) == "True/SessionStarted"
	})
}

func TestADeadGatewayIsBuriedWithItsSessions(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	gateway := w.namespace + "-dead"
	w.createLease(gateway, 0)
	started := apiClock.Now()
	w.applySession("n", gateway, started, nil)
	node := w.waitForNode("n", "ended", func(n *v1alpha1.Node) bool { return n.Status.SessionEndedTime != nil })
	if got := conditionSummary(node, v1alpha1.ConditionConnected); got != "False/GatewayLost" {
		t.Errorf("Connected = %s", got)
	}
	if ended := node.Status.SessionEndedTime.Sub(started); ended < time.Second || ended > 4*time.Second {
		t.Errorf("ended %s after the last renewal, want the two seconds of the Lease, rounded up", ended)
	}
	w.waitForNode("n", "Offline", func(n *v1alpha1.Node) bool { return n.Status.Presence == v1alpha1.PresenceOffline })
	soon.Succeeds(t, "the Lease goes", func(context.Context) error {
		key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.GatewayLeasePrefix + gateway}
		if err := w.admin.Get(t.Context(), key, &coordinationv1.Lease{}); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
}

func TestASessionOfAGatewayWithoutALeaseEnds(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	w.applySession("n", w.namespace+"-gone", apiClock.Now(), nil)
	w.waitForNode("n", "ended", func(n *v1alpha1.Node) bool {
		return n.Status.SessionEndedTime != nil && conditionSummary(n, v1alpha1.ConditionConnected) == "False/GatewayLost"
	})
}

func TestTrustFollowsCertificatesAndPeople(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	node := w.createNode("n")
	end := metav1.NewTime(apiClock.Now().Add(5 * time.Second))
	soon.Succeeds(t, "write a certificate", func(context.Context) error {
		if err := w.controller.Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
			return err
		}
		before := client.MergeFromWithOptions(node.DeepCopy(), client.MergeFromWithOptimisticLock{})
		node.Status.CertificateHistory = []v1alpha1.CertificateInfo{{
			FingerprintSHA256: node.Spec.PublicKeySHA256, PublicKeySHA256: node.Spec.PublicKeySHA256, NotAfter: &end,
		}}
		return w.controller.Status().Patch(t.Context(), node, before)
	})
	trusted := func(want v1alpha1.NodeTrust) func(*v1alpha1.Node) bool {
		return func(n *v1alpha1.Node) bool { return n.Status.Trust == want }
	}
	desire := func(state v1alpha1.NodeDesiredState) {
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"desiredState":%q}}`, state))
		if err := w.admin.Patch(t.Context(), &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "n"}}, patch); err != nil {
			t.Fatal(err)
		}
	}
	w.waitForNode("n", "Trusted", trusted(v1alpha1.TrustTrusted))
	desire(v1alpha1.NodeSuspended)
	w.waitForNode("n", "Suspended", trusted(v1alpha1.TrustSuspended))
	w.waitForNode("n", "Expired", trusted(v1alpha1.TrustExpired))
	desire(v1alpha1.NodeRevoked)
	got := w.waitForNode("n", "Revoked", trusted(v1alpha1.TrustRevoked))
	if ready := conditionSummary(got, v1alpha1.ConditionReady); ready != "False/NodeRevoked" {
		t.Errorf("Ready = %s", ready)
	}
}

func TestADeletedNodeGoesAfterItsSessionAndItsDispatches(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	node := w.createNode("n")
	w.waitForNode("n", "held", func(n *v1alpha1.Node) bool { return len(n.Finalizers) == 1 })
	gateway := w.namespace + "-alive"
	w.createLease(gateway, -time.Hour)
	started := apiClock.Now().Add(-time.Minute)
	w.applySession("n", gateway, started, nil)
	running, waiting := w.createDispatch("running", "n"), w.createDispatch("waiting", "other")
	w.markClaimed(running)
	if err := w.admin.Delete(t.Context(), node, &client.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}); err != nil {
		t.Fatal(err)
	}
	held := w.waitForNode("n", "being deleted", func(n *v1alpha1.Node) bool { return n.DeletionTimestamp != nil })
	if len(held.Finalizers) == 0 {
		t.Fatal("the Node was deleted while its session was live")
	}
	now := apiClock.Now()
	w.applySession("n", gateway, started, &now)
	w.waitForDispatch(running, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorNodeDeleted)
	soon.Succeeds(t, "the Node goes", func(context.Context) error {
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(node), node); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(waiting), waiting); err != nil || waiting.Status.Phase != v1alpha1.DispatchQueued {
		t.Errorf("the dispatch of another Node is %s: %v", waiting.Status.Phase, err)
	}
}

// A gateway passes a revocation request on and cannot forge one. Only the signature of the Node's
// own key counts, not the condition for users.
func TestOnlyItsOwnMachineGivesUpAnIdentity(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	key, der := deviceKey(t)
	node := w.createNode("n", func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256 = identity.FingerprintSPKIDER(der) })
	own := identity.Proof{Method: identity.ProofRevoke, Exporter: make([]byte, 32),
		Request: identity.ID{TrustDomain: trustDomain, Namespace: w.namespace, Node: "n"}.URI()}
	elsewhere, rotation := own, own
	elsewhere.Request = identity.ID{TrustDomain: trustDomain, Namespace: w.namespace, Node: "another"}.URI()
	rotation.Method, rotation.CSR = identity.ProofRotate, []byte("a request")
	foreign, foreignDER := deviceKey(t)
	for name, wish := range map[string]*v1alpha1.NodeRevocationRequest{
		"a condition without a wish":        nil,
		"no signature":                      {PublicKey: der, Exporter: own.Exporter, Signature: []byte{0}},
		"a key of the gateway's choice":     {PublicKey: foreignDER, Exporter: own.Exporter, Signature: signed(t, foreign, own)},
		"a signature of another key":        {PublicKey: der, Exporter: own.Exporter, Signature: signed(t, foreign, own)},
		"a signature for another machine":   {PublicKey: der, Exporter: own.Exporter, Signature: signed(t, key, elsewhere)},
		"a signature for another call":      {PublicKey: der, Exporter: own.Exporter, Signature: signed(t, key, rotation)},
		"a signature of another exporter":   {PublicKey: der, Exporter: bytes.Repeat([]byte{1}, 32), Signature: signed(t, key, own)},
		"something that is no key":          {PublicKey: []byte("key"), Exporter: own.Exporter, Signature: signed(t, key, own)},
		"a signature with a wrong exporter": {PublicKey: der, Exporter: own.Exporter[:31], Signature: signed(t, key, own)},
	} {
		w.requestRevocation("n", wish)
		w.waitForReconcile("n")
		if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil || node.Spec.DesiredState != v1alpha1.NodeActive {
			t.Fatalf("%s: the Node is %s: %v", name, node.Spec.DesiredState, err)
		}
	}
	w.requestRevocation("n", &v1alpha1.NodeRevocationRequest{Reason: "sold", PublicKey: der, Exporter: own.Exporter, Signature: signed(t, key, own)})
	node = w.waitForNode("n", "Revoked", func(n *v1alpha1.Node) bool { return n.Status.Trust == v1alpha1.TrustRevoked })
	if node.Spec.DesiredState != v1alpha1.NodeRevoked || node.Spec.RevocationReason != "sold" {
		t.Errorf("spec %+v", node.Spec)
	}
}

// A Node without dispatches is not deleted until its session has ended.
func TestADeletedNodeWaitsForTheEndOfItsSession(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	names := []string{"n", "witness-a", "witness-b", "witness-c"}
	for _, name := range names {
		w.createNode(name)
		w.waitForNode(name, "held", func(n *v1alpha1.Node) bool { return len(n.Finalizers) == 1 })
	}
	gateway, started := w.namespace+"-alive", apiClock.Now().Add(-time.Minute)
	w.createLease(gateway, -time.Hour)
	w.applySession("n", gateway, started, nil)
	w.waitForNode("n", "online", func(n *v1alpha1.Node) bool { return n.Status.SessionStartedTime != nil })
	gone := func(name string) {
		node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
		soon.Succeeds(t, "Node "+name+" goes", func(context.Context) error {
			if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(node), node); !apierrors.IsNotFound(err) {
				return errors.Join(errors.New("it is still there"), err)
			}
			return nil
		})
	}
	for _, name := range names { // sequential: the first one was reconciled long before the last one is gone
		if err := w.admin.Delete(t.Context(), &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}); err != nil {
			t.Fatal(err)
		}
		if name != "n" {
			gone(name)
		}
	}
	w.waitForNode("n", "being deleted", func(n *v1alpha1.Node) bool { return n.DeletionTimestamp != nil })
	now := apiClock.Now()
	w.applySession("n", gateway, started, &now)
	gone("n")
}
