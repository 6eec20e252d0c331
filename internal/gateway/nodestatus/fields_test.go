package nodestatus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestPresenceFollowsWhatIsDeclaredAndGranted(t *testing.T) {
	up, down := v1alpha1.NodeCapability{Name: "echo", Available: true}, v1alpha1.NodeCapability{Name: "open", Reason: "no display"}
	cases := map[string]struct {
		declared []v1alpha1.NodeCapability
		allow    []string
		presence v1alpha1.NodePresence
		summary  string
	}{
		"all granted are available":          {[]v1alpha1.NodeCapability{up}, []string{"echo"}, v1alpha1.PresenceOnline, "1/1"},
		"one granted cannot run":             {[]v1alpha1.NodeCapability{up, down}, []string{"echo", "open"}, v1alpha1.PresenceDegraded, "1/2"},
		"what cannot run is not granted":     {[]v1alpha1.NodeCapability{up, down}, []string{"echo"}, v1alpha1.PresenceOnline, "1/1"},
		"a granted name is not declared":     {[]v1alpha1.NodeCapability{up}, []string{"echo", "open"}, v1alpha1.PresenceDegraded, "1/2"},
		"a granted prefix matches nothing":   {[]v1alpha1.NodeCapability{up}, []string{"echo", "system.*"}, v1alpha1.PresenceOnline, "1/1"},
		"nothing is granted, nothing broken": {[]v1alpha1.NodeCapability{up}, nil, v1alpha1.PresenceOnline, "0/0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Facts{Description: Description{Declared: c.declared}}.Compose(nodeAllowing(c.allow...), noon)
			if got.Presence != c.presence || got.CapabilitySummary != c.summary {
				t.Errorf("presence %s, summary %s, want %s, %s", got.Presence, got.CapabilitySummary, c.presence, c.summary)
			}
		})
	}
}

func TestADegradedNodeNamesTheCause(t *testing.T) {
	full := "this machine cannot record what it runs: no space left on device"
	declared := []v1alpha1.NodeCapability{
		{Name: "echo", Reason: full}, {Name: "own.a", Reason: full}, {Name: "own.b"}, {Name: "secret", Reason: "private"}, {Name: "up", Available: true},
	}
	got := Facts{Gateway: "gw", Description: Description{Declared: declared}}.Compose(nodeAllowing("echo", "own.*", "up", "absent"), noon)
	want := "A session is open with gateway gw. Granted capabilities that cannot run now: 4: echo, own.a: " + full +
		"; own.b: the machine gives no reason; absent: the machine does not declare it."
	if c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionConnected); got.Presence != v1alpha1.PresenceDegraded || c.Message != want {
		t.Errorf("%s: %q, want %q", got.Presence, c.Message, want)
	}
	declared = nil
	for i := range capabilityname.MaxDeclared {
		declared = append(declared, v1alpha1.NodeCapability{Name: fmt.Sprintf("own.a%d", i), Reason: fmt.Sprint(i, strings.Repeat("x", maxReason-2))})
	}
	got = Facts{Description: Description{Declared: declared}}.Compose(nodeAllowing("own.*"), noon)
	if c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionConnected); len(c.Message) > 4096 || !strings.Contains(c.Message, "and 59 more") {
		t.Errorf("%d bytes: %q", len(c.Message), c.Message)
	}
}

func TestAListNamesAFewAndCountsTheOthers(t *testing.T) {
	for n, want := range map[int]string{0: "", 1: "a", maxListed: "a, a, a, a, a", maxListed + 1: "a, a, a, a, a and 1 more"} {
		if got := joinFirst(slices.Repeat([]string{"a"}, n), ", "); got != want {
			t.Errorf("%d are listed as %q, want %q", n, got, want)
		}
	}
}

func TestWhatIsNotGrantedIsNotAvailable(t *testing.T) {
	f := Facts{Description: Description{Declared: []v1alpha1.NodeCapability{{Name: "echo", Available: true}}}}
	got := f.Compose(nodeAllowing(), noon)
	want := []v1alpha1.NodeCapability{{Name: "echo", Reason: v1alpha1.ErrorNotGranted}}
	if diff := cmp.Diff(want, got.Capabilities); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
	if !f.Declared[0].Available {
		t.Error("composing changed what the machine declared")
	}
}

func TestComposeKeepsWhatBeganEarlier(t *testing.T) {
	earlier := metav1.NewTime(noon.Add(-time.Hour))
	node := nodeAllowing()
	node.Status.Presence, node.Status.Since = v1alpha1.PresenceOnline, &earlier
	node.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionRevocationRequested, Status: metav1.ConditionTrue, LastTransitionTime: earlier},
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue},
	}
	got := Facts{}.Compose(node, noon)
	if !got.Since.Equal(&earlier) {
		t.Errorf("since is %s, want the beginning of the presence", got.Since)
	}
	if meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionRevocationRequested) == nil {
		t.Error("the condition RevocationRequested was removed")
	}
	if meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionReady) != nil {
		t.Error("a condition of the controller was copied")
	}
}

func TestAbnormalConditionsComeAndGo(t *testing.T) {
	node := nodeAllowing()
	abnormal := Facts{Skew: -2 * time.Minute, CloneSuspected: true}.Compose(node, noon)
	for _, kind := range []string{v1alpha1.ConditionClockSkew, v1alpha1.ConditionSuspectedClone} {
		if !meta.IsStatusConditionTrue(abnormal.Conditions, kind) {
			t.Errorf("condition %s is missing", kind)
		}
	}
	abnormal.copyTo(&node.Status)
	day := metav1.NewTime(noon.Add(suspectedCloneTTL))
	if soon := (Facts{}).Compose(node, metav1.NewTime(day.Add(-time.Second))); !meta.IsStatusConditionTrue(soon.Conditions, v1alpha1.ConditionSuspectedClone) {
		t.Error("the suspicion of a clone was removed within a day")
	}
	normal := Facts{Skew: time.Second}.Compose(node, day)
	if len(normal.Conditions) != 1 || normal.Conditions[0].Type != v1alpha1.ConditionConnected {
		t.Errorf("conditions are %v, want only Connected", normal.Conditions)
	}
}

func TestStoredFieldsReadBackAsTheyWereWritten(t *testing.T) {
	node := nodeAllowing("echo")
	f := Facts{Gateway: "gw", SessionID: "s", Started: noon, Registered: noon, LastMessage: noon, JournalID: "j", DialCounter: 7,
		Description:  Description{System: &v1alpha1.SystemInfo{OS: "linux"}, Declared: []v1alpha1.NodeCapability{{Name: "echo", Available: true}}},
		BundleSHA256: "b", Certificate: &v1alpha1.CertificateInfo{SerialNumber: "1"}, LastEvent: v1alpha1.NodeEvent{Name: "SessionStarted", Time: noon}}
	written := f.Compose(node, noon)
	written.copyTo(&node.Status)
	if diff := cmp.Diff(written, FieldsOf(node)); diff != "" {
		t.Errorf("read back (-written +read):\n%s", diff)
	}
	later := f
	later.LastMessage = metav1.NewTime(noon.Add(time.Minute))
	if !SameFields(later.Compose(node, later.LastMessage), FieldsOf(node)) {
		t.Error("a heartbeat alone counts as a change")
	}
}

func TestConditionsOfANodeAreOneSafeLine(t *testing.T) {
	for name, text := range corpus.Texts {
		var conditions []metav1.Condition
		SetCondition(&conditions, metav1.Condition{Type: "A", Message: text}, noon)
		if shown := conditions[0].Message; corpus.FindProblem(shown) != "" || strings.ContainsAny(shown, "\n\t") {
			t.Errorf("%s: %.300q", name, shown)
		}
	}
}

func TestTheSkewOfAClockIsACondition(t *testing.T) {
	for skew, want := range map[time.Duration]string{
		SkewLimit - 1: "", 1 - SkewLimit: "", 0: "",
		SkewLimit:      "The clock of the machine is about 1m0s ahead of the cluster's; set it, or run a time service.",
		-2 * SkewLimit: "The clock of the machine is about 2m0s behind the cluster's; set it, or run a time service.",
	} {
		var f Fields
		if f.setSkew(skew, noon); len(f.Conditions) != min(len(want), 1) || want != "" && f.Conditions[0].Message != want {
			t.Errorf("%s: %v, want %q", skew, f.Conditions, want)
		}
	}
}
