package leader

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// watchDelay delays one watch of the controller: while mu is locked, no event arrives.
type watchDelay struct {
	path      string // suffix of the request path
	requested atomic.Bool
	mu        sync.RWMutex
}

var (
	dispatchWatch = &watchDelay{path: "/capabilitydispatches"}
	coreNodeWatch = &watchDelay{path: "/api/v1/nodes"}
)

// wrap wraps a transport, for rest.Config.
func (l *watchDelay) wrap(next http.RoundTripper) http.RoundTripper {
	return &delayedTransport{next, l}
}

type delayedTransport struct {
	next http.RoundTripper
	lag  *watchDelay
}

func (t *delayedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.URL.Path, t.lag.path) {
		t.lag.requested.Store(true)
	}
	response, err := t.next.RoundTrip(request)
	if err == nil && request.URL.Query().Get("watch") != "" && strings.HasSuffix(request.URL.Path, t.lag.path) {
		response.Body = &delayedBody{response.Body, t.lag}
	}
	return response, err
}

type delayedBody struct {
	io.ReadCloser
	lag *watchDelay
}

func (b *delayedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.lag.mu.RLock()
	defer b.lag.mu.RUnlock()
	return n, err
}

// This test runs alone: it would also delay the watch of every other test.
func TestANodeIsNotLetGoByACacheThatIsLate(t *testing.T) {
	w := newFixture(t)
	node, witnesses := w.createNode("n"), []*v1alpha1.Node{w.createNode("witness-a"), w.createNode("witness-b"), w.createNode("witness-c")}
	for _, n := range append(witnesses, node) {
		w.waitForNode(n.Name, "held", func(n *v1alpha1.Node) bool { return len(n.Finalizers) == 1 && n.Status.FingerprintShort != "" })
	}
	dispatchWatch.mu.Lock()
	release := sync.OnceFunc(dispatchWatch.mu.Unlock)
	t.Cleanup(release)
	running := w.createDispatch("running", "n")
	w.markClaimed(running)
	goes := func(n *v1alpha1.Node) {
		if err := w.admin.Delete(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(n *v1alpha1.Node) {
		soon.Succeeds(t, "node "+n.Name+" goes", func(context.Context) error {
			if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(n), n); !apierrors.IsNotFound(err) {
				return errors.Join(errors.New("it is still there"), err)
			}
			return nil
		})
	}
	goes(node)
	for _, n := range witnesses { // sequential, each deleted later: the Node was reconciled long before
		goes(n)
		gone(n)
	}
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
		t.Fatalf("the Node was deleted before its dispatch ended: %v", err)
	}
	release()
	w.waitForDispatch(running, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorNodeDeleted)
	gone(node)
}
