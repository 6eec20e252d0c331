package nodestatus

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

var viewNow = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) *metav1.Time {
	t := metav1.NewTime(viewNow.Add(-d))
	return &t
}

// trustedNode returns a Node whose certificate expires in an hour, after the given changes.
func trustedNode(change ...func(*v1alpha1.Node)) *v1alpha1.Node {
	pin := strings.Repeat("ab", 32)
	n := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: pin, DesiredState: v1alpha1.NodeActive}}
	n.Status.CertificateHistory = []v1alpha1.CertificateInfo{
		{FingerprintSHA256: "old", PublicKeySHA256: pin, NotAfter: ago(time.Hour)},
		{FingerprintSHA256: "new", PublicKeySHA256: pin, NotAfter: ago(-time.Hour)},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func liveSession(presence v1alpha1.NodePresence) func(*v1alpha1.Node) {
	return func(n *v1alpha1.Node) {
		n.Status.Presence, n.Status.SessionStartedTime = presence, ago(time.Minute)
	}
}

func endedSession(before time.Duration) func(*v1alpha1.Node) {
	return func(n *v1alpha1.Node) {
		n.Status.Presence = v1alpha1.PresenceStale
		n.Status.SessionStartedTime, n.Status.SessionEndedTime = ago(before+time.Hour), ago(before)
	}
}

func withDesiredState(state v1alpha1.NodeDesiredState) func(*v1alpha1.Node) {
	return func(n *v1alpha1.Node) { n.Spec.DesiredState = state }
}

func TestViewNodeSaysWhatTheControllerMaySay(t *testing.T) {
	otherKey := func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256 = strings.Repeat("cd", 32) }
	nextKey := func(n *v1alpha1.Node) {
		n.Spec.NextPublicKeySHA256, n.Spec.PublicKeySHA256 = n.Spec.PublicKeySHA256, strings.Repeat("cd", 32)
	}
	expired := func(n *v1alpha1.Node) { n.Status.CertificateHistory = n.Status.CertificateHistory[:1] }
	for _, tt := range []struct {
		name     string
		node     *v1alpha1.Node
		trust    v1alpha1.NodeTrust
		presence v1alpha1.NodePresence // empty: the gateway owns it
		ready    string
		again    time.Duration
	}{
		{"online", trustedNode(liveSession(v1alpha1.PresenceOnline)), v1alpha1.TrustTrusted, "", "Ready", time.Hour},
		{"degraded takes dispatches too", trustedNode(liveSession(v1alpha1.PresenceDegraded)), v1alpha1.TrustTrusted, "", "Ready", time.Hour},
		{"never connected", trustedNode(), v1alpha1.TrustTrusted, v1alpha1.PresenceOffline, "Offline", time.Hour},
		{"just lost", trustedNode(endedSession(time.Minute)), v1alpha1.TrustTrusted, v1alpha1.PresenceStale, "Offline", 4 * time.Minute},
		{"lost for as long as stale lasts", trustedNode(endedSession(5 * time.Minute)), v1alpha1.TrustTrusted, v1alpha1.PresenceOffline, "Offline", time.Hour},
		{"suspended", trustedNode(liveSession(v1alpha1.PresenceOnline), withDesiredState(v1alpha1.NodeSuspended)), v1alpha1.TrustSuspended, "", "NodeSuspended", time.Hour},
		{"revoked", trustedNode(liveSession(v1alpha1.PresenceOnline), withDesiredState(v1alpha1.NodeRevoked)), v1alpha1.TrustRevoked, "", "NodeRevoked", 0},
		{"expired while suspended", trustedNode(liveSession(v1alpha1.PresenceOnline), withDesiredState(v1alpha1.NodeSuspended), expired), v1alpha1.TrustExpired, "", "CertificateExpired", 0},
		{"certificates of another key count for nothing", trustedNode(otherKey), v1alpha1.TrustPending, v1alpha1.PresenceOffline, "CertificatePending", 0},
		{"a certificate of the next key counts", trustedNode(nextKey), v1alpha1.TrustTrusted, v1alpha1.PresenceOffline, "Offline", time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			view := NewView(tt.node, viewNow, 5*time.Minute)
			ready := meta.FindStatusCondition(view.Status.Conditions, v1alpha1.ConditionReady)
			if view.Status.Trust != tt.trust || view.Status.Presence != tt.presence || ready.Reason != tt.ready || view.RequeueAfter != tt.again {
				t.Errorf("trust %s, presence %q, ready %s, again %s; want %s, %q, %s, %s",
					view.Status.Trust, view.Status.Presence, ready.Reason, view.RequeueAfter, tt.trust, tt.presence, tt.ready, tt.again)
			}
			if connected := meta.FindStatusCondition(view.Status.Conditions, v1alpha1.ConditionConnected); (connected != nil) != (tt.presence != "") {
				t.Errorf("Connected is %v with presence %q", connected, tt.presence)
			}
		})
	}
}

func TestViewNodeAsksForAReviewOnlyOfWhatNobodyDecidedAbout(t *testing.T) {
	n := trustedNode(liveSession(v1alpha1.PresenceOnline), func(n *v1alpha1.Node) {
		n.Spec.CapabilityPolicy = v1alpha1.CapabilityPolicy{Allow: []string{"echo"}, Deny: []string{"shell.*"}}
		n.Status.Capabilities = []v1alpha1.NodeCapability{{Name: "shell.run"}, {Name: "echo"}}
	})
	if _, asked := reviewCondition(n); asked {
		t.Error("a review is asked for although everything is allowed or denied")
	}
	n.Status.Capabilities = append(n.Status.Capabilities, v1alpha1.NodeCapability{Name: "camera.photo"})
	if c, asked := reviewCondition(n); !asked || !strings.Contains(c.Message, "camera.photo") || strings.Contains(c.Message, "shell.run") {
		t.Errorf("review = %v, %q", asked, c.Message)
	}
}

func TestWhatAViewSaysIsWrittenOnce(t *testing.T) {
	n := trustedNode(endedSession(time.Minute))
	view := NewView(n, viewNow, 5*time.Minute)
	if UpToDate(n.Status, view.Status) {
		t.Fatal("a new status counts as up to date")
	}
	n.Status.Presence, n.Status.Trust, n.Status.FingerprintShort = view.Status.Presence, view.Status.Trust, view.Status.FingerprintShort
	n.Status.Since, n.Status.Conditions = view.Status.Since, view.Status.Conditions
	if again := NewView(n, viewNow.Add(time.Minute), 5*time.Minute); !UpToDate(n.Status, again.Status) {
		t.Errorf("an unchanged status is written again: %+v after %+v", again.Status, view.Status)
	}
}

func TestANewNodeIsNotDescribedWhileItsMachineComes(t *testing.T) {
	created := func(before time.Duration) func(*v1alpha1.Node) {
		return func(n *v1alpha1.Node) { n.CreationTimestamp = *ago(before) }
	}
	for _, tt := range []struct {
		name string
		node *v1alpha1.Node
		want time.Duration
	}{
		{"just created", trustedNode(created(0)), 3 * time.Second},
		{"a second ago", trustedNode(created(time.Second)), 2 * time.Second},
		{"its machine came", trustedNode(created(0), liveSession(v1alpha1.PresenceOnline)), 0},
		{"its machine came and went", trustedNode(created(0), endedSession(0)), 0},
		{"revoked", trustedNode(created(0), withDesiredState(v1alpha1.NodeRevoked)), 0},
		{"suspended", trustedNode(created(0), withDesiredState(v1alpha1.NodeSuspended)), 0},
		{"long ago", trustedNode(created(time.Hour)), 0},
		{"created in the future", trustedNode(created(-time.Hour)), 0},
	} {
		if got := max(InitialGrace(tt.node, viewNow), 0); got != tt.want {
			t.Errorf("%s: it settles for %s, want %s", tt.name, got, tt.want)
		}
	}
}
