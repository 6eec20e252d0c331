package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// grantingRoles names the role to ask for when RBAC denies access to a resource.
var grantingRoles = map[string]string{
	"pairingcodes":         "the ClusterRole mooring-pairing-issuer",
	"secrets":              "a Role with verb get on secrets, which lets you read pairing codes",
	"pairingrequests":      "the ClusterRole mooring-approver",
	"nodes":                "the ClusterRole mooring-viewer",
	"capabilitydispatches": "the ClusterRole mooring-operator, or a Role with verbs create, get, list, watch and patch on capabilitydispatches",
}

// defaultServer is the address that kubectl's libraries use when nothing is configured.
const defaultServer = "http://localhost:8080"

// explainError adds the next step to an error of the cluster. resource is the requested resource.
func (f *fleet) explainError(err error, resource string) error {
	if err == nil {
		return nil
	}
	err = serverError{err}
	var unreachable net.Error
	switch {
	case isNotInstalled(err):
		return fmt.Errorf("the cluster %s has no resource %s.%s: Mooring is not installed there, or this is not the intended cluster\n"+
			"Install it: kubectl apply --server-side -k config/default (in a checkout of Mooring); or choose another cluster with --context", f.server, resource, v1alpha1.GroupName)
	case policyMessage(err) != "":
		return errors.New(policyMessage(err))
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w\nAsk for %s in namespace %q. Is the name of the namespace right? A missing one is refused in the same way; choose another with -n", err, grantingRoles[resource], f.namespace)
	case missingNamespace(err) != "":
		return f.namespaceNotFoundError()
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster %s does not accept your credentials: %w\nRenew them, or choose others with --context or --kubeconfig", f.server, err)
	case errors.As(err, &unreachable) && f.server == defaultServer:
		return fmt.Errorf("no kubeconfig selects a cluster, and none answers at %s\nName the file with --kubeconfig or KUBECONFIG", f.server)
	case errors.As(err, &unreachable) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("the cluster %s cannot be reached: %w\nChoose another with --context or --kubeconfig, or see why with: kubectl cluster-info", f.server, err)
	}
	return err
}

// missingNamespace returns the namespace that does not exist according to err; "" for another
// error.
func missingNamespace(err error) string {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) || status.Status().Details == nil || status.Status().Details.Kind != "namespaces" {
		return ""
	}
	return status.Status().Details.Name
}

func (f *fleet) namespaceNotFoundError() error {
	return fmt.Errorf("namespace %q does not exist in the cluster %s: choose another with -n, or another cluster with --context", f.namespace, f.server)
}

// checkNamespace returns an error if the namespace does not exist, because the server answers a
// list there with an empty one. It returns nil when the person may not read namespaces.
func (f *fleet) checkNamespace(ctx context.Context) error {
	var namespace corev1.Namespace
	if apierrors.IsNotFound(f.Get(ctx, client.ObjectKey{Name: f.namespace}, &namespace)) {
		return f.namespaceNotFoundError()
	}
	return nil
}

// serverError is an error of the cluster with its text on one line, because the text may be
// foreign.
type serverError struct{ error }

func (e serverError) Error() string { return foreign.CleanLine(e.error.Error()) }

func (e serverError) Unwrap() error { return e.error }

// isNotInstalled reports whether err means a missing kind and not a missing object. For a missing
// kind the server sends a bare 404 without details.
func isNotInstalled(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || slices.ContainsFunc(details.Causes, func(c metav1.StatusCause) bool {
		return c.Type == metav1.CauseTypeUnexpectedServerResponse
	})
}

var policyMessagePattern = regexp.MustCompile(`(?s)mooring policy [a-z-]+: (.*)$`)

// policyMessage returns the message of an admission policy of Mooring, which already names the
// next step; "" for any other error.
func policyMessage(err error) string {
	found := policyMessagePattern.FindStringSubmatch(err.Error())
	if found == nil || !(apierrors.IsForbidden(err) || apierrors.IsInvalid(err)) {
		return ""
	}
	return found[1]
}

// notFoundError returns an error that a name does not exist, with the names that do.
func (f *fleet) notFoundError(ctx context.Context, kind, name string, names []string, next string) error {
	if err := f.checkNamespace(ctx); err != nil {
		return err
	}
	existing := "There are none"
	if len(names) > 0 {
		slices.Sort(names)
		const shown = 20
		existing = "There are: " + strings.Join(names[:min(shown, len(names))], ", ")
		if len(names) > shown {
			existing += fmt.Sprintf(" and %d more", len(names)-shown)
		}
	}
	return fmt.Errorf("no %s %q in namespace %q. %s\n%s", kind, name, f.namespace, existing, next)
}
