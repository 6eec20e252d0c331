//go:build unix

package service

import "context"

// Host runs the agent and returns its exit code. On unix a service is an ordinary process, and a
// signal stops it.
func Host(ctx context.Context, agent func(context.Context) int) int { return agent(ctx) }
