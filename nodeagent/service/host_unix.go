//go:build unix

package service

import "context"

// Host runs the agent, and returns its exit code. A service is a process like any other
// here, that is told to stop by a signal.
func Host(ctx context.Context, agent func(context.Context) int) int { return agent(ctx) }
