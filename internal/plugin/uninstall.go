package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// uninstallOptions holds the flags of "uninstall".
type uninstallOptions struct {
	check, force, yes bool
}

const uninstallLong = `List the objects that block the deletion of namespaces and CRDs, and release them.

Nodes and pairing codes carry finalizers, which the controller removes. When the controller was
removed first, "kubectl delete namespace" and "kubectl delete crd" wait for them forever.

--check lists the objects of all namespaces and changes nothing; it is the default. It ends with 1
while there are such objects.

--force-finalizers removes the finalizers after a confirmation. It refuses while a controller
runs: then delete the namespaces of the fleets, and the controller removes the finalizers. A
controller runs when it renews its Lease, which is watched for up to 20 seconds.

Lost with --force-finalizers: machines get no notice of their removal; the outcomes of unfinished
dispatches are not recorded; the password records of the codes stay in namespace
` + v1alpha1.PairingNamespace + ` until that namespace is deleted.`

const uninstallExample = `  # before "helm uninstall" or "kubectl delete -k": list the remaining objects
  kubectl mooring uninstall --check

  # the controller was removed and a namespace or a CRD stays Terminating
  kubectl mooring uninstall --force-finalizers

  # for a script
  kubectl mooring uninstall --force-finalizers --yes -o json`

func newUninstall(t *tool) *cobra.Command {
	o := uninstallOptions{}
	cmd := &cobra.Command{
		Use:               "uninstall",
		Short:             "List the objects that block an uninstall, and release them",
		Long:              uninstallLong,
		Example:           uninstallExample,
		Args:              arguments(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return t.uninstall(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.check, "check", false, "list the objects with finalizers and change nothing (the default)")
	flags.BoolVar(&o.force, "force-finalizers", false, "remove the finalizers, while no controller runs")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before --force-finalizers")
	return cmd
}

// leasePoll is the time between two reads of a Lease that may be renewed.
const leasePoll = 500 * time.Millisecond

// heldObject is an object whose deletion waits for a controller.
type heldObject struct {
	Kind       string   `json:"kind"`
	Namespace  string   `json:"namespace"`
	Name       string   `json:"name"`
	Finalizers []string `json:"finalizers"`
	Deleting   bool     `json:"deleting"`
	Released   bool     `json:"released"`

	object client.Object
}

// uninstallReport is the json and yaml output of "uninstall".
type uninstallReport struct {
	ControllerRunning bool         `json:"controllerRunning"`
	Objects           []heldObject `json:"objects"`
}

// errHeld makes "uninstall --check" exit with 1; the report is printed already.
var errHeld = &exitError{code: exitGeneral}

func (t *tool) uninstall(ctx context.Context, o uninstallOptions) error {
	switch {
	case o.check && o.force:
		return usagef("--check changes nothing: leave out --check or --force-finalizers")
	case o.yes && !o.force:
		return usagef("--yes needs --force-finalizers: nothing else asks")
	}
	f, err := t.access.open()
	if err != nil {
		return err
	}
	report, err := f.findHeld(ctx, t.now())
	if err != nil {
		return err
	}
	if !o.force {
		return t.showHeld(report)
	}
	if len(report.Objects) > 0 {
		if err := t.awaitNoController(ctx, f); err != nil {
			return err
		}
	}
	if len(report.Objects) > 0 && !o.yes {
		if err := t.confirmRelease(report); err != nil {
			return err
		}
	}
	return t.release(ctx, f, report)
}

// findHeld lists the objects of all namespaces that have a finalizer of Mooring.
func (f *fleet) findHeld(ctx context.Context, now time.Time) (uninstallReport, error) {
	report := uninstallReport{Objects: []heldObject{}}
	nodes, codes := &v1alpha1.NodeList{}, &v1alpha1.PairingCodeList{}
	if err := f.List(ctx, nodes); err != nil && !notInstalled(err) {
		return report, fmt.Errorf("list the nodes of all namespaces: %w", f.explain(err, "nodes"))
	}
	for i := range nodes.Items {
		report.add("Node", &nodes.Items[i], v1alpha1.FinalizerNode)
	}
	if err := f.List(ctx, codes); err != nil && !notInstalled(err) {
		return report, fmt.Errorf("list the pairing codes of all namespaces: %w", f.explain(err, "pairingcodes"))
	}
	for i := range codes.Items {
		report.add("PairingCode", &codes.Items[i], v1alpha1.FinalizerPairingCode)
	}
	running, err := f.controllerRuns(ctx, now)
	report.ControllerRunning = running
	return report, err
}

func (r *uninstallReport) add(kind string, object client.Object, finalizer string) {
	if slices.Contains(object.GetFinalizers(), finalizer) {
		r.Objects = append(r.Objects, heldObject{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(),
			Finalizers: []string{finalizer}, Deleting: object.GetDeletionTimestamp() != nil, object: object})
	}
}

// controllerRuns reports whether a controller holds an unexpired Lease, by the local clock.
func (f *fleet) controllerRuns(ctx context.Context, now time.Time) (bool, error) {
	lease, err := f.leaderLease(ctx)
	return err == nil && leaseHeld(lease, now), err
}

// leaderLease reads the leader election Lease of the controllers; it returns an empty one if none
// exists.
func (f *fleet) leaderLease(ctx context.Context) (*coordinationv1.Lease, error) {
	lease := &coordinationv1.Lease{}
	err := f.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.LeaderLease}, lease)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("read Lease %s/%s, which shows whether a controller runs: %w", v1alpha1.SystemNamespace, v1alpha1.LeaderLease, serverError{err})
	}
	return lease, nil
}

func leaseHeld(lease *coordinationv1.Lease, now time.Time) bool {
	spec := lease.Spec
	return hasHolder(lease) && spec.RenewTime != nil && now.Before(spec.RenewTime.Add(leaseDuration(lease)))
}

func hasHolder(lease *coordinationv1.Lease) bool {
	return ptr.Deref(lease.Spec.HolderIdentity, "") != ""
}

func leaseDuration(lease *coordinationv1.Lease) time.Duration {
	return time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0)) * time.Second
}

// awaitNoController returns an error when a controller runs. It watches a Lease that has a holder
// for the whole lease duration, as leader election does, because the clocks of the machines may
// differ.
func (t *tool) awaitNoController(ctx context.Context, f *fleet) error {
	first, err := f.leaderLease(ctx)
	if err != nil || !hasHolder(first) {
		return err
	}
	t.sayf("Lease %s/%s has a holder, %s: waiting %s to see whether it is renewed.",
		v1alpha1.SystemNamespace, v1alpha1.LeaderLease, foreign.Line(*first.Spec.HolderIdentity), leaseDuration(first))
	watching, cancel := context.WithTimeout(ctx, leaseDuration(first))
	defer cancel()
	for {
		select {
		case <-watching.Done():
			return ctx.Err()
		case <-time.After(leasePoll):
		}
		lease, err := f.leaderLease(ctx)
		switch {
		case err != nil:
			return err
		case !hasHolder(lease):
			return nil
		case lease.ResourceVersion != first.ResourceVersion:
			return fmt.Errorf("a controller runs: it renewed Lease %s/%s. Delete the namespaces of the fleets, and it removes the finalizers",
				v1alpha1.SystemNamespace, v1alpha1.LeaderLease)
		}
	}
}

// showHeld prints the objects and the next step for the person.
func (t *tool) showHeld(report uninstallReport) error {
	if t.format != "" {
		if err := t.print(report); err != nil {
			return err
		}
	} else if err := t.listHeld(report); err != nil {
		return err
	}
	if len(report.Objects) > 0 {
		return errHeld
	}
	return nil
}

func (t *tool) listHeld(report uninstallReport) error {
	if len(report.Objects) == 0 {
		t.sayf("No object blocks an uninstall. Next: helm uninstall, or kubectl delete -k; then the CRDs.")
		return nil
	}
	if err := table(t.Out, []string{"KIND", "NAMESPACE", "NAME", "DELETING"}, heldRows(report.Objects)); err != nil {
		return err
	}
	if report.ControllerRunning {
		t.sayf("The controller runs and removes the finalizers. Delete the namespaces first: kubectl delete namespace %s", strings.Join(namespacesOf(report), " "))
		return nil
	}
	t.sayf("No controller runs: the deletion of these objects, their namespaces and the CRDs does not end.\n" +
		"Start the controller again and delete the namespaces, or accept the losses (see --help): kubectl mooring uninstall --force-finalizers")
	return nil
}

func heldRows(objects []heldObject) [][]string {
	var rows [][]string
	for _, held := range objects {
		deleting := "no"
		if held.Deleting {
			deleting = "yes"
		}
		rows = append(rows, []string{held.Kind, held.Namespace, held.Name, deleting})
	}
	return rows
}

func namespacesOf(report uninstallReport) []string {
	var names []string
	for _, held := range report.Objects {
		names = append(names, held.Namespace)
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// confirmRelease shows the objects and asks for a confirmation.
func (t *tool) confirmRelease(report uninstallReport) error {
	ask := newQuestion(t.IOStreams)
	if !ask.interactive {
		return usagef("there is no terminal to ask on: look at it with --check, then add --yes")
	}
	if err := table(t.ErrOut, []string{"KIND", "NAMESPACE", "NAME", "DELETING"}, heldRows(report.Objects)); err != nil {
		return err
	}
	prompt := fmt.Sprintf("Remove the finalizers of these %d objects? Machines get no notice, and the outcomes of unfinished dispatches are lost. [y/N] ", len(report.Objects))
	if !ask.yes(prompt) {
		return errors.New("nothing was changed")
	}
	return nil
}

// release removes the finalizers of all objects; an error for one object does not stop the others.
func (t *tool) release(ctx context.Context, f *fleet, report uninstallReport) error {
	var failed []error
	for i := range report.Objects {
		held := &report.Objects[i]
		if err := f.removeFinalizer(ctx, held); err != nil {
			failed = append(failed, fmt.Errorf("%s %s/%s: %w", held.Kind, held.Namespace, held.Name, serverError{err}))
			continue
		}
		held.Released = true
	}
	if t.format != "" {
		return errors.Join(append(failed, t.print(report))...)
	}
	t.sayf("Removed the finalizers of %d of %d objects.", len(report.Objects)-len(failed), len(report.Objects))
	return errors.Join(failed...)
}

// removeFinalizer patches the object with an optimistic lock; after a conflict it reads the object
// and tries again.
func (f *fleet) removeFinalizer(ctx context.Context, held *heldObject) error {
	for range conflictTries {
		before := held.object.DeepCopyObject().(client.Object)
		held.object.SetFinalizers(slices.DeleteFunc(slices.Clone(held.object.GetFinalizers()), func(name string) bool {
			return slices.Contains(held.Finalizers, name)
		}))
		err := f.Patch(ctx, held.object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if !apierrors.IsConflict(err) {
			return client.IgnoreNotFound(err)
		}
		if err := f.Get(ctx, client.ObjectKeyFromObject(before), held.object); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	return errors.New("the object kept changing: try again")
}
