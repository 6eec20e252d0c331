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
		Args:              rangeArgs(0, 0),
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

// finalizedObject is an object whose deletion waits for a controller.
type finalizedObject struct {
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
	ControllerRunning bool              `json:"controllerRunning"`
	Objects           []finalizedObject `json:"objects"`
}

// errObjectsFound makes "uninstall --check" exit with 1; the report is printed already.
var errObjectsFound = &exitError{code: exitGeneral}

func (t *tool) uninstall(ctx context.Context, o uninstallOptions) error {
	switch {
	case o.check && o.force:
		return usageErrorf("--check changes nothing: leave out --check or --force-finalizers")
	case o.yes && !o.force:
		return usageErrorf("--yes needs --force-finalizers: nothing else asks")
	}
	f, err := t.access.open()
	if err != nil {
		return err
	}
	report, err := f.findFinalizedObjects(ctx, t.now())
	if err != nil {
		return err
	}
	if !o.force {
		return t.showFinalizedObjects(report)
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
	return t.removeFinalizers(ctx, f, report)
}

// findFinalizedObjects lists the objects of all namespaces that have a finalizer of Mooring.
func (f *fleet) findFinalizedObjects(ctx context.Context, now time.Time) (uninstallReport, error) {
	report := uninstallReport{Objects: []finalizedObject{}}
	nodes, codes := &v1alpha1.NodeList{}, &v1alpha1.PairingCodeList{}
	if err := f.List(ctx, nodes); err != nil && !isNotInstalled(err) {
		return report, fmt.Errorf("list the nodes of all namespaces: %w", f.explainError(err, "nodes"))
	}
	for i := range nodes.Items {
		report.add("Node", &nodes.Items[i], v1alpha1.FinalizerNode)
	}
	if err := f.List(ctx, codes); err != nil && !isNotInstalled(err) {
		return report, fmt.Errorf("list the pairing codes of all namespaces: %w", f.explainError(err, "pairingcodes"))
	}
	for i := range codes.Items {
		report.add("PairingCode", &codes.Items[i], v1alpha1.FinalizerPairingCode)
	}
	running, err := f.isControllerRunning(ctx, now)
	report.ControllerRunning = running
	return report, err
}

func (r *uninstallReport) add(kind string, object client.Object, finalizer string) {
	if slices.Contains(object.GetFinalizers(), finalizer) {
		r.Objects = append(r.Objects, finalizedObject{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(),
			Finalizers: []string{finalizer}, Deleting: object.GetDeletionTimestamp() != nil, object: object})
	}
}

// isControllerRunning reports whether a controller holds an unexpired Lease, by the local clock.
func (f *fleet) isControllerRunning(ctx context.Context, now time.Time) (bool, error) {
	lease, err := f.leaderLease(ctx)
	return err == nil && isLeaseActive(lease, now), err
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

func isLeaseActive(lease *coordinationv1.Lease, now time.Time) bool {
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
	t.noticef("Lease %s/%s has a holder, %s: waiting %s to see whether it is renewed.",
		v1alpha1.SystemNamespace, v1alpha1.LeaderLease, foreign.CleanLine(*first.Spec.HolderIdentity), leaseDuration(first))
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

// showFinalizedObjects prints the objects and the next step for the person.
func (t *tool) showFinalizedObjects(report uninstallReport) error {
	if t.format != "" {
		if err := t.printObject(report); err != nil {
			return err
		}
	} else if err := t.listFinalizedObjects(report); err != nil {
		return err
	}
	if len(report.Objects) > 0 {
		return errObjectsFound
	}
	return nil
}

func (t *tool) listFinalizedObjects(report uninstallReport) error {
	if len(report.Objects) == 0 {
		t.noticef("No object blocks an uninstall. Next: helm uninstall, or kubectl delete -k; then the CRDs.")
		return nil
	}
	if err := printTable(t.Out, []string{"KIND", "NAMESPACE", "NAME", "DELETING"}, finalizedRows(report.Objects)); err != nil {
		return err
	}
	if report.ControllerRunning {
		t.noticef("The controller runs and removes the finalizers. Delete the namespaces first: kubectl delete namespace %s", strings.Join(namespacesOf(report), " "))
		return nil
	}
	t.noticef("No controller runs: the deletion of these objects, their namespaces and the CRDs does not end.\n" +
		"Start the controller again and delete the namespaces, or accept the losses (see --help): kubectl mooring uninstall --force-finalizers")
	return nil
}

func finalizedRows(objects []finalizedObject) [][]string {
	var rows [][]string
	for _, object := range objects {
		deleting := "no"
		if object.Deleting {
			deleting = "yes"
		}
		rows = append(rows, []string{object.Kind, object.Namespace, object.Name, deleting})
	}
	return rows
}

func namespacesOf(report uninstallReport) []string {
	var names []string
	for _, object := range report.Objects {
		names = append(names, object.Namespace)
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// confirmRelease shows the objects and asks for a confirmation.
func (t *tool) confirmRelease(report uninstallReport) error {
	ask := newQuestion(t.IOStreams)
	if !ask.interactive {
		return usageErrorf("there is no terminal to ask on: look at it with --check, then add --yes")
	}
	if err := printTable(t.ErrOut, []string{"KIND", "NAMESPACE", "NAME", "DELETING"}, finalizedRows(report.Objects)); err != nil {
		return err
	}
	prompt := fmt.Sprintf("Remove the finalizers of these %d objects? Machines get no notice, and the outcomes of unfinished dispatches are lost. [y/N] ", len(report.Objects))
	if !ask.confirm(prompt) {
		return errors.New("nothing was changed")
	}
	return nil
}

// removeFinalizers removes the finalizers of all objects; an error for one object does not stop the
// others.
func (t *tool) removeFinalizers(ctx context.Context, f *fleet, report uninstallReport) error {
	var failed []error
	for i := range report.Objects {
		item := &report.Objects[i]
		if err := f.removeFinalizer(ctx, item); err != nil {
			failed = append(failed, fmt.Errorf("%s %s/%s: %w", item.Kind, item.Namespace, item.Name, serverError{err}))
			continue
		}
		item.Released = true
	}
	if t.format != "" {
		return errors.Join(append(failed, t.printObject(report))...)
	}
	t.noticef("Removed the finalizers of %d of %d objects.", len(report.Objects)-len(failed), len(report.Objects))
	return errors.Join(failed...)
}

// removeFinalizer patches the object with an optimistic lock; after a conflict it reads the object
// and tries again.
func (f *fleet) removeFinalizer(ctx context.Context, item *finalizedObject) error {
	for range maxConflictRetries {
		before := item.object.DeepCopyObject().(client.Object)
		item.object.SetFinalizers(slices.DeleteFunc(slices.Clone(item.object.GetFinalizers()), func(name string) bool {
			return slices.Contains(item.Finalizers, name)
		}))
		err := f.Patch(ctx, item.object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
		if !apierrors.IsConflict(err) {
			return client.IgnoreNotFound(err)
		}
		if err := f.Get(ctx, client.ObjectKeyFromObject(before), item.object); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	return errors.New("the object kept changing: try again")
}
