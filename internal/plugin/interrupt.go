package plugin

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
)

// errInterrupted is the cause of a context that a second Ctrl-C cancelled.
var errInterrupted = errors.New("interrupted")

// onInterrupt calls `onFirst` at the first Ctrl-C and cancels the context with `errInterrupted` at
// the second. The function stop restores the default effect of Ctrl-C and waits until `onFirst` has
// returned.
func onInterrupt(parent context.Context, onFirst func(context.Context)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-signals:
			onFirst(ctx)
		case <-ctx.Done():
			return
		}
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		watcher.Wait()
	}
}
