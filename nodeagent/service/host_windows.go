package service

import (
	"context"
	"os"

	library "github.com/kardianos/service"
)

// Host runs the agent and returns its exit code. Under the service control manager, a stop request
// of the manager cancels the agent's context.
func Host(ctx context.Context, agent func(context.Context) int) int {
	if library.Interactive() {
		return agent(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &process{ctx: ctx, cancel: cancel, agent: agent, ended: make(chan struct{})}
	s, err := library.New(p, &library.Config{Name: Name})
	if err != nil || s.Run() != nil {
		return 1
	}
	return p.code
}

// process is the agent as the service control manager starts and stops it.
type process struct {
	ctx    context.Context
	cancel func()
	agent  func(context.Context) int
	ended  chan struct{}
	code   int
}

// Start runs the agent in the background, because the manager requires an immediate return.
func (p *process) Start(library.Service) error {
	go func() {
		p.code = p.agent(p.ctx)
		if p.ctx.Err() == nil {
			// The manager did not stop the agent. It restarts a service that exits without a report.
			os.Exit(p.code)
		}
		close(p.ended)
	}()
	return nil
}

func (p *process) Stop(library.Service) error {
	p.cancel()
	<-p.ended
	return nil
}
