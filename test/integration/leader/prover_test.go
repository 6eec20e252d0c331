package leader

import (
	"context"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/internal/policy"
)

// patientProver is a Prover that pauses while a test proves the policies itself: its regular proofs
// would interfere.
type patientProver struct {
	*policy.Prover
	mu sync.Mutex
}

// proofs is the Prover of this package.
var proofs = &patientProver{}

// Start proves until ctx ends.
func (p *patientProver) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		next := time.Minute
		if p.try(ctx) != nil {
			next = time.Second
		}
		select {
		case <-time.After(next):
		case <-p.Record().Requests():
		case <-ctx.Done():
		}
	}
	return nil
}

func (p *patientProver) try(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Prove(ctx)
}
