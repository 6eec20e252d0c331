package dispatch

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func node(change ...func(*v1alpha1.Node)) *v1alpha1.Node {
	n := &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "n"},
		Spec: v1alpha1.NodeSpec{
			DesiredState:     v1alpha1.NodeActive,
			CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo"}},
		},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

// withInputSize returns an option that sets an input of exactly that many bytes.
func withInputSize(bytes int) func(*v1alpha1.CapabilityDispatch) {
	return func(d *v1alpha1.CapabilityDispatch) {
		d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`{"x":"` + strings.Repeat("x", bytes-len(`{"x":""}`)) + `"}`)}
	}
}

func TestAdmitOffersOnlyWhatMayAndCanRunNow(t *testing.T) {
	echo := []v1alpha1.NodeCapability{{Name: "echo", Available: true}}
	state := func(s v1alpha1.NodeDesiredState) func(*v1alpha1.Node) {
		return func(n *v1alpha1.Node) { n.Spec.DesiredState = s }
	}
	deleting := func(n *v1alpha1.Node) { n.DeletionTimestamp = at(0) }
	denied := func(n *v1alpha1.Node) { n.Spec.CapabilityPolicy.Deny = []string{"echo"} }

	for _, tt := range []struct {
		name     string
		d        *v1alpha1.CapabilityDispatch
		node     *v1alpha1.Node
		declared []v1alpha1.NodeCapability
		now      time.Time
		kind     VerdictKind
		want     outcome
	}{
		{"granted and available", queuedEcho(), node(), echo, after(59), VerdictOffer, outcome{}},
		{"claimed before and not known to the agent", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), node(), echo, after(1), VerdictOffer, outcome{}},
		{"accepted before and not known to the agent", queuedEcho(accepted), node(), echo, after(1), VerdictSettle, outcome{"Failed", "Unknown", "JournalReset"}},
		{"accepted before, cancelled and expired", queuedEcho(accepted, cancelled), node(), echo, after(60), VerdictSettle, outcome{"Failed", "Unknown", "JournalReset"}},
		{"expired", queuedEcho(), node(), echo, after(60), VerdictSettle, outcome{"TimedOut", "NotStarted", "Expired"}},
		{"cancelled", queuedEcho(cancelled), node(), echo, after(1), VerdictSettle, outcome{"Cancelled", "NotStarted", "Cancelled"}},
		{"an input as long as may be", queuedEcho(withInputSize(MaxInputBytes)), node(), echo, after(1), VerdictOffer, outcome{}},
		{"an input a byte too long", queuedEcho(withInputSize(MaxInputBytes + 1)), node(), echo, after(1), VerdictSettle, outcome{"Rejected", "NotStarted", "InvalidInput"}},
		{"not declared", queuedEcho(), node(), nil, after(1), VerdictSettle, outcome{"Rejected", "NotStarted", "UnknownCapability"}},
		{"not granted", queuedEcho(), node(denied), echo, after(1), VerdictSettle, outcome{"Rejected", "NotStarted", "NotGranted"}},
		{"not available", queuedEcho(), node(), []v1alpha1.NodeCapability{{Name: "echo", Reason: "NoDisplay"}}, after(1), VerdictSettle, outcome{"Rejected", "NotStarted", "CapabilityUnavailable"}},
		{"granted since the status was written", queuedEcho(), node(), []v1alpha1.NodeCapability{{Name: "echo", Reason: "NotGranted"}}, after(1), VerdictOffer, outcome{}},
		{"Node suspended", queuedEcho(), node(state(v1alpha1.NodeSuspended)), echo, after(1), VerdictWait, outcome{}},
		{"Node suspended, expired", queuedEcho(), node(state(v1alpha1.NodeSuspended)), echo, after(60), VerdictSettle, outcome{"TimedOut", "NotStarted", "Expired"}},
		{"Node revoked", queuedEcho(), node(state(v1alpha1.NodeRevoked)), echo, after(1), VerdictSettle, outcome{"Rejected", "NotStarted", "NodeRevoked"}},
		{"Node being deleted", queuedEcho(), node(deleting), echo, after(1), VerdictSettle, outcome{"Rejected", "NotStarted", "NodeDeleted"}},
		{"finished", queuedEcho(inPhase(v1alpha1.DispatchFailed)), node(), echo, after(1), VerdictDone, outcome{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Admit(tt.d, tt.node, tt.declared, tt.now)
			if got.Kind != tt.kind {
				t.Errorf("Kind = %v, want %v", got.Kind, tt.kind)
			}
			if diff := cmp.Diff(tt.want, outcomeOf(&got.Status)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGrantedFollowsNamesAndPrefixesAndDenyWins(t *testing.T) {
	for _, tt := range []struct {
		name        string
		allow, deny []string
		capability  string
		want        bool
	}{
		{"nothing is allowed by default", nil, nil, "echo", false},
		{"by name", []string{"echo"}, nil, "echo", true},
		{"a name is no prefix", []string{"system"}, nil, "system.health", false},
		{"by prefix", []string{"system.*"}, nil, "system.health", true},
		{"by prefix, deeper", []string{"system.*"}, nil, "system.disk.usage", true},
		{"a prefix does not match its own stem", []string{"system.*"}, nil, "system", false},
		{"a prefix ends at a dot", []string{"system.*"}, nil, "systemd.restart", false},
		{"a bare star allows nothing", []string{"*"}, nil, "echo", false},
		{"deny wins by name", []string{"system.*"}, []string{"system.health"}, "system.health", false},
		{"deny wins by prefix", []string{"system.health"}, []string{"system.*"}, "system.health", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Granted(v1alpha1.CapabilityPolicy{Allow: tt.allow, Deny: tt.deny}, tt.capability); got != tt.want {
				t.Errorf("Granted = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNeedsClaimForEverythingNotYoungerThanTheSession(t *testing.T) {
	for _, tt := range []struct {
		name    string
		d       *v1alpha1.CapabilityDispatch
		started int
		want    bool
	}{
		{"created before the session", queuedEcho(), 1, true},
		{"created in the same second", queuedEcho(), 0, true},
		{"created after the session", queuedEcho(), -1, false},
		{"claimed already", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := NeedsClaim(tt.d, *at(tt.started)); got != tt.want {
				t.Errorf("NeedsClaim = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSessionIsLiveUntilAnEndThatIsNotOlder(t *testing.T) {
	for _, tt := range []struct {
		name           string
		started, ended *metav1.Time
		want           bool
	}{
		{"never recorded", nil, nil, false},
		{"recorded", at(1), nil, true},
		{"ended", at(1), at(5), false},
		{"ended in the second it began", at(1), at(1), false},
		{"the end is that of the one before", at(2), at(1), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := node(func(n *v1alpha1.Node) {
				n.Status.SessionStartedTime, n.Status.SessionEndedTime = tt.started, tt.ended
			})
			if got := FactsOf(n).SessionLive; got != tt.want {
				t.Errorf("SessionLive = %v, want %v", got, tt.want)
			}
		})
	}
}
