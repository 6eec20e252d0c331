package stack

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// restartDelay is the time between the end of a process and its next start.
const restartDelay = time.Second

// KeepRunning starts the controller and the gateways again when they end, as their Deployments do
// in a cluster; a controller ends when it loses its leadership. It returns when ctx ends.
func (s *Stack) KeepRunning(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		s.restart(ctx, func() *Process { return s.Controller }, s.StartController)
	})
	for i := range s.Gateways {
		wg.Go(func() {
			s.restart(ctx, func() *Process { return s.Gateways[i].Process }, func() error { return s.StartGateway(i) })
		})
	}
	wg.Wait()
}

// restart waits for the end of one process and starts it again, until ctx ends.
func (s *Stack) restart(ctx context.Context, current func() *Process, start func() error) {
	for {
		s.mu.Lock()
		process := current()
		s.mu.Unlock()
		select {
		case <-process.done:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(restartDelay):
		case <-ctx.Done():
			return
		}
		s.Progress(fmt.Sprintf("%s ended (%s) and is started again", process.Name, process.cmd.ProcessState))
		if err := start(); err != nil {
			s.Progress(err.Error())
		}
	}
}
