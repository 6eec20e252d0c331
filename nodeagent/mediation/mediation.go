// Package mediation decides, on the machine alone, whether a capability may run:
// the cluster can ask, it cannot answer.
package mediation

import (
	"context"

	"github.com/mooring-dev/mooring/nodeagent/capability"
)

// Policy is asked before anything runs.
type Policy interface {
	// Decide returns nil to allow the run, or a *Denied.
	Decide(ctx context.Context, c capability.Capability, request capability.Request) error
}

// Denied is a no, with a stable code for the cluster and a sentence for people.
type Denied struct {
	Code    string
	Message string
}

func (d *Denied) Error() string { return d.Message }

// Unattended is the policy of a machine with nobody to ask: what needs no person
// runs, what needs one does not.
type Unattended struct{}

// Decide allows capabilities without mediation.
func (Unattended) Decide(_ context.Context, c capability.Capability, _ capability.Request) error {
	if c.Mediation() == capability.None {
		return nil
	}
	return &Denied{Code: "MediationDenied", Message: "this agent has nobody at the machine to ask"}
}
