package controllers

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

// failedWriteError is an error of a write that others precede.
type failedWriteError struct {
	error
	again dryRun
}

func (e *failedWriteError) Unwrap() error { return e.error }

// failedWrites holds, by code, the write that failed last. Each attempt to make the Secrets of a code
// repeats all its writes, so the next attempt begins with a dry run of this one: while it is refused,
// nothing else is written.
type failedWrites struct {
	mu    sync.Mutex
	again map[types.UID]dryRun
}

// check returns an error while the write that failed last would fail again.
func (f *failedWrites) check(ctx context.Context, code *v1alpha1.PairingCode) error {
	f.mu.Lock()
	again := f.again[code.UID]
	f.mu.Unlock()
	if again == nil {
		return nil
	}
	err := again(ctx, code.DeepCopy())
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// record remembers the write behind an error, or forgets the one before.
func (f *failedWrites) record(code *v1alpha1.PairingCode, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := (*failedWriteError)(nil)
	if !errors.As(err, &failed) {
		delete(f.again, code.UID)
		return
	}
	if f.again == nil {
		f.again = map[types.UID]dryRun{}
	}
	f.again[code.UID] = failed.again
}
