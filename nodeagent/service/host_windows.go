package service

import (
	"context"
	"os"

	library "github.com/kardianos/service"
)

// Host runs the agent, and returns its exit code. Under the service control manager, that
// is who tells it to stop.
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

// Start must return at once.
func (p *process) Start(library.Service) error {
	go func() {
		p.code = p.agent(p.ctx)
		if p.ctx.Err() == nil {
			// Nobody told it to stop: ending without a word makes the manager start it again.
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
