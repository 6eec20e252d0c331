package plugin_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/eventually"
)

// waitForDispatch waits for the only dispatch of a namespace.
func waitForDispatch(t *testing.T, ns string) *v1alpha1.CapabilityDispatch {
	t.Helper()
	var list v1alpha1.CapabilityDispatchList
	eventually.True(t, "see the dispatch", func() bool {
		return sharedCluster.Client().List(t.Context(), &list, client.InNamespace(ns)) == nil && len(list.Items) == 1
	})
	return &list.Items[0]
}

// writeDispatchStatus writes a status in the role of the gateway.
func writeDispatchStatus(t *testing.T, d *v1alpha1.CapabilityDispatch, status v1alpha1.CapabilityDispatchStatus) {
	t.Helper()
	if err := sharedCluster.Client().Get(t.Context(), client.ObjectKeyFromObject(d), d); err != nil {
		t.Fatal(err)
	}
	d.Status = status
	if err := sharedCluster.Client().Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func TestInvokeWaitsTellsAndPrintsTheOutput(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	p := start(t, ivan, ns, strings.NewReader(`{"text": "hello"}`), "invoke", "press-3", "echo", "--input", "-", "--timeout", "5s", "--expiry", "1m")
	d := waitForDispatch(t, ns)
	if d.Spec.NodeName != "press-3" || d.Spec.Capability != "echo" || string(d.Spec.Input.Raw) != `{"text":"hello"}` || d.Spec.RequestedBy != ivan ||
		d.Spec.TimeoutSeconds != 5 || d.Spec.ExpirySeconds != 60 || *d.Spec.TTLSecondsAfterFinished != 86400 {
		t.Errorf("spec is %+v", d.Spec)
	}
	writeDispatchStatus(t, d, v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchAwaitingLocalMediation, Mediation: &v1alpha1.DispatchMediation{AskedUser: "eve"}})
	p.waitForStderr("Waiting for eve at the machine to approve.")
	writeDispatchStatus(t, d, v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched, Progress: &v1alpha1.DispatchProgress{Percent: 40, Message: "half"}})
	p.waitForStderr("40% half")
	writeDispatchStatus(t, d, v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished, Output: &v1alpha1.JSON{Raw: []byte(`{"text":"hello"}`)}})
	p.wantExit(0)
	if p.out.String() != "{\n  \"text\": \"hello\"\n}\n" {
		t.Errorf("standard output is %q", p.out.String())
	}
}

func TestInvokeEndsWithTheCodeOfTheOutcome(t *testing.T) {
	for phase, code := range map[v1alpha1.DispatchPhase]int{
		v1alpha1.DispatchFailed: 3, v1alpha1.DispatchTimedOut: 4, v1alpha1.DispatchRejected: 5, v1alpha1.DispatchCancelled: 6,
	} {
		t.Run(string(phase), func(t *testing.T) {
			ns := newFleet(t)
			newNode(t, ns, "press-3", v1alpha1.PresenceOffline)
			p := start(t, ivan, ns, nil, "invoke", "press-3", "system.health", "-o", "json")
			writeDispatchStatus(t, waitForDispatch(t, ns), v1alpha1.CapabilityDispatchStatus{
				Phase: phase, Execution: v1alpha1.ExecutionNotStarted, Error: &v1alpha1.DispatchError{Code: "Why", Message: "because"},
			})
			p.wantExit(code, "err:is Offline: the dispatch waits for it", "err:ended "+string(phase)+": Why: because\nIt never ran.")
			var got v1alpha1.CapabilityDispatch
			p.decode(&got)
			if got.Kind != "CapabilityDispatch" || got.Status.Phase != phase {
				t.Errorf("printed %s", p.out.String())
			}
		})
	}
}

func TestCtrlCCancelsAndWaitsForTheTruth(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	p := start(t, ivan, ns, nil, "invoke", "press-3", "echo")
	p.waitForStderr("Made dispatch")
	d := waitForDispatch(t, ns)
	p.interrupt()
	p.waitForStderr("press Ctrl-C again to exit")
	eventually.True(t, "set spec.cancel", func() bool {
		return sharedCluster.Client().Get(t.Context(), client.ObjectKeyFromObject(d), d) == nil && d.Spec.Cancel
	})
	writeDispatchStatus(t, d, v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchCancelled, Execution: v1alpha1.ExecutionNotStarted})
	p.wantExit(6, "err:ended Cancelled")
}

func TestASecondCtrlCLeaves(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	p := start(t, ivan, ns, nil, "invoke", "press-3", "echo")
	p.waitForStderr("Made dispatch")
	d := waitForDispatch(t, ns)
	p.interrupt()
	p.waitForStderr("press Ctrl-C again to exit")
	p.interrupt()
	p.wantExit(130, "err:kubectl get cdisp "+d.Name+" -n "+ns)
}

func TestADeletedDispatchEndsTheWait(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	p := start(t, ivan, ns, nil, "invoke", "press-3", "echo")
	if err := sharedCluster.Client().Delete(t.Context(), waitForDispatch(t, ns)); err != nil {
		t.Fatal(err)
	}
	p.wantExit(1, "err:was deleted before its outcome was known")
}

func TestInvokeIsRefusedWithTheWayOut(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	run(t, ivan, ns, "invoke", "press-3", "camera.shot").wantExit(1, `err:user "ivan" may not invoke capability "camera.shot"`, `err:ask for a Role`)
	run(t, ivan, ns, "invoke", "typo", "echo").wantExit(1, "err:There are: press-3", "err:--allow-absent")
	run(t, nora, ns, "invoke", "press-3", "echo").wantExit(1, "err:cannot create resource", "err:ClusterRole mooring-operator")
	var list v1alpha1.CapabilityDispatchList
	if err := sharedCluster.Client().List(t.Context(), &list, client.InNamespace(ns)); err != nil || len(list.Items) != 0 {
		t.Errorf("%d dispatches were made, error %v", len(list.Items), err)
	}
}

func TestInvokeCanLeaveADispatchInTheMailbox(t *testing.T) {
	ns := newFleet(t)
	p := run(t, ivan, ns, "invoke", "yet-to-come", "echo", "--allow-absent", "--wait=false")
	d := waitForDispatch(t, ns)
	p.wantExit(0, "capabilitydispatch.mooring.dev/"+d.Name+" created\n", "err:kubectl get cdisp "+d.Name)
	if d.Spec.Input != nil || !strings.HasPrefix(d.Name, "yet-to-come-echo-") {
		t.Errorf("got %s with %+v", d.Name, d.Spec)
	}
}

// A pipeline that lost its connection repeats its command, which must follow the existing dispatch
// and never run it twice.
func TestInvokeOfANameThatExistsFollowsIt(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	line := []string{"invoke", "press-3", "echo", "--name", "greet-118", "--input", `{"text": "hello", "n": 1}`}
	run(t, ivan, ns, append(line, "--wait=false")...).wantExit(0, "capabilitydispatch.mooring.dev/greet-118 created\n")
	run(t, ivan, ns, append(line, "--wait=false")...).wantExit(0, "capabilitydispatch.mooring.dev/greet-118 unchanged\n", "err:asks for the same: it is not run again")
	p := start(t, ivan, ns, nil, line...)
	p.waitForStderr("it is not run again")
	writeDispatchStatus(t, waitForDispatch(t, ns), v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished, Output: &v1alpha1.JSON{Raw: []byte(`"hi"`)}})
	p.wantExit(0, `"hi"`)
	run(t, ivan, ns, line...).wantExit(0, `"hi"`)
	run(t, ivan, ns, "invoke", "press-3", "echo", "--name", "greet-118").wantExit(1, "err:with another input", "err:choose another --name")
	run(t, ivan, ns, "invoke", "press-3", "system.health", "--name", "greet-118").wantExit(1, "err:with another capability")
	waitForDispatch(t, ns)
}
