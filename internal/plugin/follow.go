package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// cancelTimeout bounds the cancel request, so that a second Ctrl-C takes effect.
const cancelTimeout = 5 * time.Second

// followDispatch waits for the outcome of a dispatch and reports it.
func (t *tool) followDispatch(parent context.Context, f *fleet, d *v1alpha1.CapabilityDispatch, raw bool) error {
	ctx, stop := onInterrupt(parent, func(ctx context.Context) { t.cancelDispatch(ctx, f, d) })
	defer stop()
	latest, lastLine := d, ""
	err := objectWatcher[v1alpha1.CapabilityDispatch, *v1alpha1.CapabilityDispatch]{
		fleet: f, list: &v1alpha1.CapabilityDispatchList{},
		onConnectionLost: func(err error) { t.noticef("Lost the connection to the cluster (%v), retrying.", err) },
		isDone: func(now *v1alpha1.CapabilityDispatch) bool {
			latest = now
			if line := progressLine(now.Status); line != "" && line != lastLine {
				lastLine = line
				t.noticef("%s", line)
			}
			return now.Status.Phase.Terminal()
		},
	}.wait(ctx, d)
	showCommand := fmt.Sprintf("kubectl get cdisp %s -n %s", d.Name, d.Namespace)
	switch {
	case errors.Is(err, errInterrupted):
		return &exitError{code: exitInterrupted, err: fmt.Errorf("exited before the outcome of dispatch %q was known; see its status: %s", d.Name, showCommand)}
	case errors.Is(err, errDeleted):
		return fmt.Errorf("dispatch %q was deleted before its outcome was known", d.Name)
	case err != nil:
		return fmt.Errorf("dispatch %q was made, but its outcome cannot be seen: %w", d.Name, f.explainError(err, "capabilitydispatches"))
	}
	return t.reportDispatch(latest, raw)
}

// cancelDispatch asks for the cancellation of the dispatch, at the first Ctrl-C.
func (t *tool) cancelDispatch(ctx context.Context, f *fleet, d *v1alpha1.CapabilityDispatch) {
	t.noticef("\nCancelling dispatch %s and waiting for its outcome; press Ctrl-C again to exit.", d.Name)
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	err := f.Patch(ctx, d.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
	if err != nil {
		t.noticef("Cannot cancel it: %v", f.explainError(err, "capabilitydispatches"))
	}
}

// progressLine returns the progress of a dispatch as a sentence; "" if there is none to show.
func progressLine(s v1alpha1.CapabilityDispatchStatus) string {
	switch {
	case s.Phase == v1alpha1.DispatchAwaitingLocalMediation:
		person := "the person"
		if s.Mediation != nil && s.Mediation.AskedUser != "" {
			person = s.Mediation.AskedUser
		}
		return fmt.Sprintf("Waiting for %s at the machine to approve.", person)
	case s.Phase == v1alpha1.DispatchDispatched && s.Progress != nil:
		return fmt.Sprintf("%d%% %s", s.Progress.Percent, s.Progress.Message)
	case s.Phase == v1alpha1.DispatchDispatched:
		return "The machine has accepted the dispatch."
	}
	return ""
}

// reportDispatch prints a finished dispatch and turns its outcome into the exit code.
func (t *tool) reportDispatch(d *v1alpha1.CapabilityDispatch, raw bool) error {
	if t.format != "" {
		if err := t.printObject(d); err != nil {
			return err
		}
	} else if d.Status.Output != nil {
		if err := t.printOutput(d.Status.Output.Raw, raw); err != nil {
			return err
		}
	}
	if d.Status.OutputTruncated {
		t.noticef("The output was cut: maxPayloadBytes is %d, and the API server bounds the whole object.", d.Spec.MaxPayloadBytes)
	}
	if d.Status.Phase == v1alpha1.DispatchSucceeded {
		return nil
	}
	return &exitError{code: phaseExitCode(d.Status.Phase), err: errors.New(outcomeText(d))}
}
