// Package poll repeats an attempt until it succeeds. Programs use it; tests use test/eventually,
// which fails the test when the time is over.
package poll

import (
	"context"
	"errors"
	"time"
)

// The first pauses are short, so that a condition of a few milliseconds costs no more. The longest
// is long enough that dozens of waits do not overload an API server.
const (
	firstPause   = 2 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// UntilTrue calls holds until it returns true, and returns the error of ctx if that ends first.
func UntilTrue(ctx context.Context, holds func() bool) error {
	return repeat(ctx, holds)
}

// UntilNil calls attempt until it returns nil. If ctx ends first, it returns the last error of
// attempt, without errors that only report the end of ctx.
func UntilNil(ctx context.Context, attempt func(context.Context) error) error {
	var last error
	err := repeat(ctx, func() bool {
		err := attempt(ctx)
		if err == nil || ctx.Err() == nil {
			last = err
		}
		return err == nil
	})
	if err == nil {
		return nil
	}
	return errors.Join(last, err)
}

func repeat(ctx context.Context, holds func() bool) error {
	pause := firstPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for !holds() {
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, longestPause)
	}
	return nil
}
