package pairingcode

import (
	"context"
	"errors"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// dryRun repeats a write of a code that failed, without storing anything.
type dryRun func(ctx context.Context, code *v1alpha1.PairingCode) error

// failedWriteError is the error of a write that follows other writes.
type failedWriteError struct {
	error
	dryRun dryRun
}

func (e *failedWriteError) Unwrap() error { return e.error }

// failedWrites stores, by code, the write that failed last. Each attempt to create the Secrets of a
// code repeats all its writes. The next attempt therefore begins with a dry run of the stored
// write: while it is refused, nothing is written.
type failedWrites struct {
	mu      sync.Mutex
	dryRuns map[types.UID]dryRun
}

// check returns an error while the write that failed last would still fail.
func (f *failedWrites) check(ctx context.Context, code *v1alpha1.PairingCode) error {
	f.mu.Lock()
	retry := f.dryRuns[code.UID]
	f.mu.Unlock()
	if retry == nil {
		return nil
	}
	err := retry(ctx, code.DeepCopy())
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// store stores the write that caused an error, or clears the stored write.
func (f *failedWrites) store(code *v1alpha1.PairingCode, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := (*failedWriteError)(nil)
	if !errors.As(err, &failed) {
		delete(f.dryRuns, code.UID)
		return
	}
	if f.dryRuns == nil {
		f.dryRuns = map[types.UID]dryRun{}
	}
	f.dryRuns[code.UID] = failed.dryRun
}
