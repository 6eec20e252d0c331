package nodeagent_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestEveryCallToAGatewayGoesThroughTheProxy checks each kind of call in the order of a machine's
// life. The name of the gateway exists in no DNS, so a call that does not use the proxy fails.
func TestEveryCallToAGatewayGoesThroughTheProxy(t *testing.T) {
	const pairingEndpoint, nodeEndpoint = "gateway.invalid:7443", "gateway.invalid:7444"
	g := fakegateway.Start(t)
	proxy := fakegateway.StartProxy(t, map[string]string{pairingEndpoint: g.PairingEndpoint, nodeEndpoint: g.NodeEndpoint})
	t.Setenv("HTTPS_PROXY", "http://user:secret@"+proxy.Address)
	t.Setenv("NO_PROXY", "")
	g.NodeEndpoint = nodeEndpoint // the machine gets it when it pairs
	o := nodeagent.Options{
		Dir: filepath.Join(t.TempDir(), "id"), Pairing: pairingEndpoint, Code: &fakegateway.Code, NodeName: "box",
		Out: io.Discard, Log: slog.New(slog.DiscardHandler),
	}
	for _, step := range []struct {
		name, endpoint string
		call           func(context.Context) error
	}{
		{"pairing", pairingEndpoint, func(ctx context.Context) error { return nodeagent.Pair(ctx, o) }},
		{"session over a stream", nodeEndpoint, func(ctx context.Context) error { return runOneSession(ctx, g, o, transport.Stream) }},
		{"session over polls", nodeEndpoint, func(ctx context.Context) error { return runOneSession(ctx, g, o, transport.Poll) }},
		{"revocation", nodeEndpoint, func(ctx context.Context) error { return revoke(ctx, o.Dir) }},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := step.call(ctx)
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		requests := slices.Compact(proxy.TakeRequests())
		if want := []string{"CONNECT " + step.endpoint + " Basic dXNlcjpzZWNyZXQ="}; !slices.Equal(requests, want) {
			t.Errorf("%s: the proxy was asked %q, want %q", step.name, requests, want)
		}
	}
	if n := g.Node.Revoked.Load(); n != 1 {
		t.Errorf("the gateway got %d valid revocations, want 1", n)
	}
}

// runOneSession runs the agent until it has a session.
func runOneSession(ctx context.Context, g *fakegateway.Gateway, o nodeagent.Options, kind transport.Kind) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o.Transport = kind
	done := make(chan error, 1)
	go func() { done <- nodeagent.Run(ctx, o) }()
	select {
	case <-g.Node.Sessions:
	case <-ctx.Done():
		stop()
		<-done
		return ctx.Err()
	}
	stop()
	return <-done
}

func revoke(ctx context.Context, dir string) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	return enroll.Revoke(ctx, s, "sold", time.Now, rand.Reader)
}
