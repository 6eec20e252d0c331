package stack_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// setClockOffset sets the clock offset of the agents that the test starts from now on.
func (f *fleet) setClockOffset(off time.Duration) {
	f.Helper()
	f.Setenv("MOORING_TEST_CLOCK_OFFSET", off.String())
}

// An offset of ten minutes is normal for machines without a time service. They pair and work, and a
// condition reports the offset.
func TestAClockThatIsTenMinutesOffWorksAndIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		off  time.Duration
		says string
	}{
		"ahead":  {10 * time.Minute, "about 10m0s ahead of"},
		"behind": {-10 * time.Minute, "about 10m0s behind"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.setClockOffset(c.off)
			f.Pair("kiosk")
			f.CheckEcho("kiosk")
			node := f.GetNode("kiosk")
			skew := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionClockSkew)
			if skew == nil || skew.Status != "True" || !strings.Contains(skew.Message, c.says) {
				t.Errorf("ClockSkew is %+v, want %q", skew, c.says)
			}
		})
	}
	f := newFleet(t)
	f.Pair("exact")
	if skew := meta.FindStatusCondition(f.GetNode("exact").Status.Conditions, v1alpha1.ConditionClockSkew); skew != nil {
		t.Errorf("a right clock is reported: %+v", skew)
	}
}

// in1970 is the agent's message about a gateway's certificate when the machine's clock shows 1970.
const in1970 = "days ahead of the clock here, which shows 1970-01-"

// A machine without a clock battery starts in 1970. A PIN needs no clock. Every step that needs one
// fails, reports the offset, and continues after the clock is set.
func TestAMachineIn1970ExchangesItsPINAndRefusesTheRest(t *testing.T) {
	f := newFleet(t)
	epoch := -time.Since(time.Unix(0, 0))
	f.setClockOffset(epoch)
	agent, request := f.StartPairing("kiosk") // the request exists, so the PIN was exchanged
	if err := agent.WaitFor(f.BoundedContext(), in1970); err != nil {
		t.Fatalf("the poll does not name the offset: %v", err)
	}
	f.Approve(request.Name)
	testfleet.Await(f, request.Name, request, "approved, without a certificate", func(r *v1alpha1.PairingRequest) bool {
		return r.Status.Phase == v1alpha1.PairingRequestApproved
	})
	agent.Stop()
	f.setClockOffset(0)
	right := f.StartAgent("kiosk")
	f.AwaitOnline("kiosk")
	f.CheckEcho("kiosk")
	right.Stop()

	f.setClockOffset(epoch)
	early := f.StartAgent("kiosk")
	if err := early.WaitFor(f.BoundedContext(), in1970); err != nil {
		t.Fatalf("the session does not name the offset: %v", err)
	}
	if out := early.Output(); !strings.Contains(out, "cannot be trusted") || !early.Running() {
		t.Errorf("the agent ended or reports another problem:\n%s", early.Tail(10))
	}
	early.Stop()
}

func TestAMachineIn1970DoesNotPairByQR(t *testing.T) {
	f := newFleet(t)
	f.setClockOffset(-time.Since(time.Unix(0, 0)))
	invitation, _ := f.createInvitation("--name", "kiosk")
	agent := f.startWithQRCode("kiosk", invitation)
	if err := agent.WaitFor(f.BoundedContext(), in1970); err != nil {
		t.Fatalf("the agent does not name the offset: %v", err)
	}
	var list v1alpha1.PairingRequestList
	if err := system.Client.List(t.Context(), &list, client.InNamespace(f.Namespace)); err != nil || len(list.Items) != 0 {
		t.Errorf("%d requests were made: %v", len(list.Items), err)
	}
	if !agent.Running() {
		t.Errorf("the agent gave up:\n%s", agent.Tail(10))
	}
}
