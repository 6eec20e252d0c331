package apicall

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Timeout bounds one request to the API server.
const Timeout = 10 * time.Second

// NewBackoff returns the backoff of requests to an API server that does not answer.
func NewBackoff() wait.Backoff {
	return wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 100, Cap: 10 * time.Second}
}

// Wait waits for done. It returns the error of ctx if ctx ends first.
func Wait(ctx context.Context, done <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}
