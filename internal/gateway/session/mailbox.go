package session

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

// Mailbox holds the dispatches of Nodes. Its methods return mailbox.ErrDeleted for a dispatch that does
// not exist any more.
type Mailbox interface {
	// ListUnfinished returns the unfinished dispatches of a Node from one consistent read.
	ListUnfinished(ctx context.Context, node types.NamespacedName) ([]v1alpha1.CapabilityDispatch, error)
	// Read reads a dispatch live, and retries until the API server answers.
	Read(ctx context.Context, key types.NamespacedName, uid types.UID) (*v1alpha1.CapabilityDispatch, error)
	// Write writes the status that decide returns, if the dispatch is still in the state that decide
	// saw. It returns the stored dispatch.
	Write(ctx context.Context, step string, d *v1alpha1.CapabilityDispatch, decide mailbox.Decision) (*v1alpha1.CapabilityDispatch, error)
}

// handleWrite counts and logs a write of the mailbox.
func (s *Service) handleWrite(step string, stored *v1alpha1.CapabilityDispatch) {
	s.metrics.writes.WithLabelValues(step).Inc()
	dispatchtable.Debug(s.Log, "status written", stored, "step", step, "phase", string(stored.Status.Phase), "code", dispatchtable.ErrorCode(&stored.Status))
}

// handleConflict counts and logs a write of the mailbox that conflicted.
func (s *Service) handleConflict(step string, d *v1alpha1.CapabilityDispatch) {
	s.metrics.conflicts.Inc()
	dispatchtable.Debug(s.Log, "status write conflicted", d, "step", step)
}
