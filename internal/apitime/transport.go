package apitime

import (
	"net/http"

	"k8s.io/client-go/rest"
)

// Wrap makes every client built from config update the Clock. Call it before the first client is
// built.
func (c *Clock) Wrap(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &transport{next: next, clock: c}
	})
}

// transport reads the Date header of every response.
type transport struct {
	next  http.RoundTripper
	clock *Clock
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	// Round strips the monotonic reading, so that a change of the local clock is visible.
	sent := t.clock.local.Now().Round(0)
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	if date, parseErr := http.ParseTime(response.Header.Get("Date")); parseErr == nil {
		t.clock.observe(date, sent, t.clock.local.Now().Round(0))
	}
	return response, nil
}

// WrappedRoundTripper returns the inner transport. client-go needs it for connection shutdown and
// debugging.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }
