package leader

import (
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

// lag delays one watch of the controller: while held is locked, no event arrives.
type lag struct {
	path  string // suffix of the request path
	asked atomic.Bool
	held  sync.RWMutex
}

var (
	dispatchWatch = &lag{path: "/capabilitydispatches"}
	coreNodeWatch = &lag{path: "/api/v1/nodes"}
)

// wrap wraps a transport, for rest.Config.
func (l *lag) wrap(next http.RoundTripper) http.RoundTripper { return &lateTransport{next, l} }

type lateTransport struct {
	next http.RoundTripper
	lag  *lag
}

func (t *lateTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.URL.Path, t.lag.path) {
		t.lag.asked.Store(true)
	}
	response, err := t.next.RoundTrip(request)
	if err == nil && request.URL.Query().Get("watch") != "" && strings.HasSuffix(request.URL.Path, t.lag.path) {
		response.Body = &lateBody{response.Body, t.lag}
	}
	return response, err
}

type lateBody struct {
	io.ReadCloser
	lag *lag
}

func (b *lateBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.lag.held.RLock()
	defer b.lag.held.RUnlock()
	return n, err
}

// This test runs alone: it would also delay the watch of every other test.
func TestANodeIsNotLetGoByACacheThatIsLate(t *testing.T) {
	w := newWorld(t)
	node, witnesses := w.node("n"), []*v1alpha1.Node{w.node("witness-a"), w.node("witness-b"), w.node("witness-c")}
	for _, n := range append(witnesses, node) {
		w.nodeBecomes(n.Name, "held", func(n *v1alpha1.Node) bool { return len(n.Finalizers) == 1 && n.Status.FingerprintShort != "" })
	}
	dispatchWatch.held.Lock()
	release := sync.OnceFunc(dispatchWatch.held.Unlock)
	t.Cleanup(release)
	running := w.dispatch("running", "n")
	w.claimed(running)
	goes := func(n *v1alpha1.Node) {
		if err := w.admin.Delete(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(n *v1alpha1.Node) {
		eventually(t, "node "+n.Name+" goes", func() error {
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
	w.becomes(running, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorNodeDeleted)
	gone(node)
}
