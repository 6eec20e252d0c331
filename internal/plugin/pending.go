package plugin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func newPending(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:   "pending",
		Short: "List the machines that wait for an approval",
		Example: `  kubectl mooring pending -n workshop
  kubectl mooring pending -o json`,
		Args:              rangeArgs(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := t.access.open()
			if err != nil {
				return err
			}
			var list v1alpha1.PairingRequestList
			if err := f.list(cmd.Context(), &list); err != nil {
				return fmt.Errorf("list pairing requests: %w", f.explainError(err, "pairingrequests"))
			}
			now := t.now()
			list.Items = slices.DeleteFunc(list.Items, func(r v1alpha1.PairingRequest) bool { return !isPending(&r, now) })
			if t.format != "" {
				return t.printObject(&list)
			}
			if len(list.Items) == 0 {
				if err := f.checkNamespace(cmd.Context()); err != nil {
					return err
				}
				t.noticef("No machine waits for an approval in namespace %q. Invite one: kubectl mooring code -n %s", f.namespace, f.namespace)
				return nil
			}
			return printTable(t.Out, pendingHeader, pendingRows(list.Items, now))
		},
	}
}

var pendingHeader = []string{"NAME", "NODE", "VERIFICATION", "PLATFORM", "CAPABILITIES", "ISSUED-BY", "EXPIRES-IN"}

// pendingRows lists the requests, sorted by expiry, the earliest first.
func pendingRows(requests []v1alpha1.PairingRequest, now time.Time) [][]string {
	sorted := slices.SortedStableFunc(slices.Values(requests), func(a, b v1alpha1.PairingRequest) int {
		return a.Spec.ExpiresTime.Compare(b.Spec.ExpiresTime.Time)
	})
	var rows [][]string
	for _, r := range sorted {
		rows = append(rows, []string{
			r.Name, r.Spec.NodeName, r.Spec.VerificationCode, platform(r.Spec.System),
			abridge(r.Spec.RequestedCapabilities), inviterOf(&r), timeLeft(now, r.Spec.ExpiresTime.Time),
		})
	}
	return rows
}

// isPending reports whether an approver can still decide about the request.
func isPending(r *v1alpha1.PairingRequest, now time.Time) bool {
	waits := r.Status.Phase == "" || r.Status.Phase == v1alpha1.PairingRequestPending
	return waits && r.Spec.Decision == nil && r.Spec.ExpiresTime.After(now)
}

// inviterOf returns the issuer of the machine's code, or the machine's ServiceAccount.
func inviterOf(r *v1alpha1.PairingRequest) string {
	if account := r.Spec.ServiceAccount; account != nil {
		return "serviceaccount " + account.Namespace + "/" + account.Name
	}
	return r.Spec.CodeIssuedBy
}

func platform(system *v1alpha1.SystemInfo) string {
	if system == nil {
		return ""
	}
	return system.Platform
}

// abridge joins as many names as a column of a table can hold.
func abridge(names []string) string {
	const shown = 4
	if len(names) <= shown {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s,+%d more", strings.Join(names[:shown], ","), len(names)-shown)
}
