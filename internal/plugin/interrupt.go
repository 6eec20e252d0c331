package plugin

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
)

// errLeft is the cause of a context that a second Ctrl-C cancelled.
var errLeft = errors.New("interrupted")

// onInterrupt calls `first` at the first Ctrl-C and cancels the context with `errLeft` at the second.
// stop restores the default effect of Ctrl-C and waits until `first` has returned.
func onInterrupt(parent context.Context, first func(context.Context)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	var owned sync.WaitGroup
	owned.Go(func() {
		select {
		case <-signals:
			first(ctx)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			cancel(errLeft)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		owned.Wait()
	}
}
