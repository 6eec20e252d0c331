package stack_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// Twenty dispatches run when a process is killed. Each run appends one line to a file. The file,
// not a status, is the evidence of the runs.
func TestKilledInTheMiddle(t *testing.T) {
	for _, victim := range []struct {
		name string
		kill func(f *fleet, agent *stack.Process)
	}{
		{"agent", func(f *fleet, agent *stack.Process) {
			agent.Kill()
			f.StartAgent("kiosk")
		}},
		{"gateway", func(f *fleet, _ *stack.Process) {
			system.Gateways[0].Kill()
			if err := system.StartGateway(0); err != nil {
				f.Fatal(err)
			}
		}},
		{"controller", func(f *fleet, _ *stack.Process) {
			system.Controller.Kill()
			if err := system.StartController(); err != nil {
				f.Fatal(err)
			}
		}},
	} {
		t.Run(victim.name, func(t *testing.T) {
			f := newFleet(t)
			agent := f.Pair("kiosk")
			out := filepath.Join(t.TempDir(), "runs")
			var asked []*v1alpha1.CapabilityDispatch
			for i := range 20 {
				asked = append(asked, f.CreateDispatch("kiosk", "test.append", appendInput(out, fmt.Sprint("run-", i))))
			}
			f.Eventually("some to have run, others not", func() bool { n := len(readRuns(out)); return n >= 4 && n < 20 })
			victim.kill(f, agent)
			checkStatuses(f, asked, out)
		})
	}
}

func appendInput(path, line string) map[string]any {
	return map[string]any{"file": path, "line": line, "sleepMilliseconds": 300}
}

func readRuns(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}

// checkStatuses compares the statuses with the lines of the file.
func checkStatuses(f *fleet, asked []*v1alpha1.CapabilityDispatch, out string) {
	f.Helper()
	tally := map[string]int{}
	var ended []*v1alpha1.CapabilityDispatch
	for _, d := range asked {
		ended = append(ended, f.AwaitEnded(d))
	}
	times := map[string]int{}
	for _, line := range readRuns(out) {
		times[line]++
	}
	for i, d := range ended {
		line, s := fmt.Sprint("run-", i), d.Status
		tally[fmt.Sprintf("%s/%s", s.Phase, s.Execution)]++
		switch ran := times[line]; {
		case ran > 1:
			f.Errorf("%s ran %d times", line, ran)
		case s.Phase == v1alpha1.DispatchSucceeded && ran != 1:
			f.Errorf("%s is Succeeded but ran %d times", line, ran)
		case s.Execution == v1alpha1.ExecutionNotStarted && ran != 0:
			f.Errorf("%s is NotStarted but ran", line)
		case s.Execution == v1alpha1.ExecutionFinished && s.Phase == v1alpha1.DispatchSucceeded && s.Output == nil:
			f.Errorf("%s lost its result", line)
		}
		if s.Phase != v1alpha1.DispatchSucceeded && (s.Error == nil || s.Error.Code == "") {
			f.Errorf("%s is %s without a reason", line, s.Phase)
		}
	}
	if tally["Succeeded/Finished"] == 0 {
		f.Errorf("none succeeded: %v", tally)
	}
	f.Logf("outcomes: %v", tally)
}

func TestApiserverRestartedUnderEveryone(t *testing.T) {
	f := newFleet(t)
	f.Pair("kiosk")
	// A controller that could not renew its Lease in time ends, and its Deployment starts it again.
	stop := f.keepRunning()
	gateway := system.Gateways[0].Process
	if err := system.Cluster.CrashComponent(t.Context(), controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	if err := system.Cluster.WaitReady(f.BoundedContext()); err != nil {
		t.Fatal(err)
	}
	f.Eventually("creations to be admitted again", f.admissionWorks)
	d := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"after": "restart"}))
	if d.Status.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("after the restart a dispatch ended %+v", d.Status)
	}
	f.Pair("another")
	if stop(); system.Gateways[0].Process != gateway {
		t.Error("the gateway ended")
	}
}

// admissionWorks reports whether the apiserver accepts creations of our kinds. For some seconds after its
// start it answers 503, because mutating policies wait for the schema of custom resources.
func (f *fleet) admissionWorks() bool {
	d := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "dry-"},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: "kiosk", Capability: "echo"},
	}
	code := &v1alpha1.PairingCode{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "dry-"},
		Spec:       v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN},
	}
	return system.Client.Create(f.Context(), d, client.DryRunAll) == nil && system.Client.Create(f.Context(), code, client.DryRunAll) == nil
}

func TestCertManagerStoppedDuringAnApproval(t *testing.T) {
	f := newFleet(t)
	agent, request := f.StartPairing("kiosk")
	if err := system.Cluster.StopComponent(t.Context(), controlplane.CertManager); err != nil {
		t.Fatal(err)
	}
	started := false
	t.Cleanup(func() {
		if !started {
			_ = system.Cluster.StartComponent(context.WithoutCancel(t.Context()), controlplane.CertManager)
		}
	})
	f.Approve(request.Name)
	testfleet.Await(f, request.Name, request, "waiting for its certificate, and saying so", func(r *v1alpha1.PairingRequest) bool {
		for _, c := range r.Status.Conditions {
			if c.Type == v1alpha1.ConditionIssued && c.Status == "False" && strings.Contains(c.Message, "cert-manager") {
				return true
			}
		}
		return false
	})
	if err := system.Cluster.StartComponent(t.Context(), controlplane.CertManager); err != nil {
		t.Fatal(err)
	}
	started = true
	f.AwaitOnline("kiosk")
	if !agent.Running() {
		t.Error("the agent gave up")
	}
}
