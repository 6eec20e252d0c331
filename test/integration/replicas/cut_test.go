package replicas_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/simfleet"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// noticeTimeout bounds the time in which a gateway notices a machine that became silent. It is 30 s until
// the gateway pings plus 10 s for the answer, or three heartbeats of 20 s, with a margin for a slow
// test machine.
const noticeTimeout = 75 * time.Second

// A machine loses its network and neither side receives a packet about it. The gateway notices it
// by itself. Dispatches that are created meanwhile wait; they run once and in order when the
// machine is back, at either gateway.
func TestACutThatNobodyIsToldOf(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*link){
		"both ways":               func(l *link) { l.dropToNamespace(); l.dropFromNamespace() },
		"from the machine alone":  (*link).dropFromNamespace,
		"from the gateways alone": (*link).dropToNamespace,
	} {
		t.Run(name, func(t *testing.T) {
			if name == "from the gateways alone" && simfleet.CISized(0, 1) == 0 {
				t.Skip("takes a minute, in full size only")
			}
			t.Parallel()
			m := newRemoteMachine(t)
			first := m.GetNode("box")
			m.createDispatch(0)
			m.awaitRuns(1)
			began := time.Now()
			cut(m.link)
			inFlight := m.createDispatch(300) // either it is not offered, or the offer is lost
			m.awaitNode("the gateway to notice", func(n *v1alpha1.Node) bool { return !dispatch.SessionOf(n).Live() })
			took := time.Since(began)
			if took > noticeTimeout {
				t.Errorf("noticed after %s, want at most %s", took, noticeTimeout)
			}
			var asked []*v1alpha1.CapabilityDispatch
			for range 5 {
				asked = append(asked, m.createDispatch(0))
			}
			began = time.Now()
			m.link.heal()
			m.awaitNode("the machine to be back", func(n *v1alpha1.Node) bool {
				return dispatch.SessionOf(n).Live() && n.Status.SessionID != first.Status.SessionID
			})
			t.Logf("noticed after %s; back %s after the cable was whole, on %s after %s", took.Round(time.Second/10), time.Since(began).Round(time.Second/10), m.GetNode("box").Status.Gateway, first.Status.Gateway)
			for _, d := range append(asked, inFlight) {
				if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded {
					t.Errorf("%s ended %s: %+v", d.Name, s.Phase, s.Error)
				}
			}
			m.awaitRuns(7)
			checkOrder(t, m.lines()[1:], append(asked, inFlight))
		})
	}
}

// checkOrder fails the test unless the lines are in the order of creation; within one second the UID
// decides.
func checkOrder(t *testing.T, lines []string, asked []*v1alpha1.CapabilityDispatch) {
	t.Helper()
	slices.SortFunc(asked, func(a, b *v1alpha1.CapabilityDispatch) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	for i, d := range asked {
		if i >= len(lines) || !strings.Contains(string(d.Spec.Input.Raw), fmt.Sprintf(`"line":%q`, lines[i])) {
			t.Errorf("they ran in the order %v, want %s at %d", lines, d.Spec.Input.Raw, i)
		}
	}
}

// remoteMachine is an agent in a network namespace that knows two gateways of its own.
type remoteMachine struct {
	*testfleet.Fleet
	link    *link
	out     string
	created int
}

func newRemoteMachine(t *testing.T) *remoteMachine {
	t.Helper()
	m := &remoteMachine{link: newLink(t), Fleet: testfleet.New(t, system), out: filepath.Join(t.TempDir(), "runs")}
	replicas := startTwoGateways(t, m.link.name, m.link.testAddress)
	code, issued := m.IssuePIN("box")
	agent, err := system.StartAgentIn(m.link.name, m.Namespace, replicas[0].pairing, "--code", code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(agent.Stop)
	m.Approve(m.AwaitRequest(issued.Name).Name)
	m.AwaitOnline("box")
	m.PatchNode("box", `{"spec":{"maxInFlight":1}}`) // otherwise dispatches could overtake one another on the machine
	return m
}

func (m *remoteMachine) awaitNode(condition string, done func(*v1alpha1.Node) bool) {
	m.Helper()
	m.Eventually(condition, func() bool { return done(m.GetNode("box")) })
}

// createDispatch creates a dispatch that appends a line after the given number of milliseconds.
func (m *remoteMachine) createDispatch(milliseconds int) *v1alpha1.CapabilityDispatch {
	m.Helper()
	m.created++
	return m.CreateDispatch("box", "test.append", map[string]any{"file": m.out, "line": fmt.Sprint(m.created), "sleepMilliseconds": milliseconds})
}

func (m *remoteMachine) lines() []string {
	text, _ := os.ReadFile(m.out) // the file does not exist before the first run
	return strings.Fields(string(text))
}

// awaitRuns waits until there are that many lines, and fails the test when a line occurs twice.
func (m *remoteMachine) awaitRuns(times int) {
	m.Helper()
	m.Eventually(fmt.Sprintf("%d runs", times), func() bool { return len(m.lines()) >= times })
	lines := m.lines()
	slices.Sort(lines)
	if len(slices.Compact(lines)) != times || len(m.lines()) != times {
		m.Errorf("%d dispatches left these lines: %v", times, m.lines())
	}
}
