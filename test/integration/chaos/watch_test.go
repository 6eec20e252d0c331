package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mooring-dev/mooring/test/chaos/check"
)

// watchFor is the duration of one watch.
const watchFor = 10 * time.Second

// observer follows the dispatches of a namespace as any client could: with a list and a watch over
// plain HTTP, repeated whenever they break.
type observer struct {
	http    *http.Client
	url     string
	onEvent func(what string) // logs lists and watches that it starts or repeats

	mu       sync.Mutex
	states   map[string][]check.State
	versions map[string]uint64 // the version of the last state
}

// object holds the fields of a CapabilityDispatch that are checked.
type object struct {
	Metadata struct{ Name, UID, ResourceVersion string }
	Status   struct {
		Phase, Execution string
		Output           json.RawMessage
		Error            struct{ Code string }
	}
}

func newObserver(access *rest.Config, namespace string, onEvent func(what string)) (*observer, error) {
	access.Timeout = 0
	client, err := rest.HTTPClientFor(access)
	if err != nil {
		return nil, err
	}
	return &observer{http: client, onEvent: onEvent, states: map[string][]check.State{}, versions: map[string]uint64{},
		url: access.Host + "/apis/mooring.dev/v1alpha1/namespaces/" + namespace + "/capabilitydispatches"}, nil
}

// watchAll watches until ctx ends. When a watch breaks or is silent, it lists again.
func (o *observer) watchAll(ctx context.Context) {
	for ctx.Err() == nil {
		objects, version, err := o.list(ctx)
		if err != nil {
			o.onEvent("list: " + err.Error())
			sleep(ctx, retryInterval)
			continue
		}
		for _, one := range objects {
			o.addState(one)
		}
		o.onEvent(fmt.Sprintf("%d listed at %s", len(objects), version))
		count := 0
		for err == nil {
			count, version, err = o.watch(ctx, version)
		}
		if ctx.Err() == nil {
			o.onEvent(fmt.Sprintf("the watch ended after %d events, at %s: %v", count, version, err))
		}
	}
}

// list reads all stored objects.
func (o *observer) list(ctx context.Context) (objects []object, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body, err := o.get(ctx, nil)
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	var list struct {
		Metadata struct{ ResourceVersion string }
		Items    []object
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return nil, "", fmt.Errorf("read the list: %w", err)
	}
	return list.Items, list.Metadata.ResourceVersion, nil
}

// watch notes the events after a version, for a few seconds, and returns the version from which to
// continue.
func (o *observer) watch(ctx context.Context, version string) (count int, last string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*watchFor, errors.New("it fell silent"))
	defer cancel()
	body, err := o.get(ctx, url.Values{"watch": {"1"}, "resourceVersion": {version}, "timeoutSeconds": {fmt.Sprint(watchFor.Seconds())}})
	if err != nil {
		return 0, version, errors.Join(err, context.Cause(ctx))
	}
	defer body.Close()
	for events := json.NewDecoder(body); ; count++ {
		var event struct {
			Type   string
			Object object
		}
		switch err := events.Decode(&event); {
		case errors.Is(err, io.EOF):
			return count, version, nil // its time is over
		case err != nil:
			return count, version, errors.Join(err, context.Cause(ctx))
		}
		switch event.Type {
		case "ADDED", "MODIFIED":
		case "DELETED": // no dispatch is deleted here
			event.Object.Status.Phase = "Deleted"
		default:
			return count, version, fmt.Errorf("%s in the watch", event.Type)
		}
		o.addState(event.Object)
		version = event.Object.Metadata.ResourceVersion
	}
}

func (o *observer) get(ctx context.Context, query url.Values) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := o.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("the API server answered %s", response.Status)
	}
	return response.Body, nil
}

// addState appends a state that is newer than the last one and differs from it.
func (o *observer) addState(one object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	uid := one.Metadata.UID
	version, err := strconv.ParseUint(one.Metadata.ResourceVersion, 10, 64)
	if err != nil || version < o.versions[uid] {
		return // the list was read before a later watch event
	}
	o.versions[uid] = version
	s := stateOf(one)
	if known := o.states[uid]; len(known) == 0 || !sameState(known[len(known)-1], s) {
		o.states[uid] = append(known, s)
	}
}

func stateOf(one object) check.State {
	s := check.State{Time: time.Now(), Phase: one.Status.Phase, Execution: one.Status.Execution, Code: one.Status.Error.Code}
	if output := one.Status.Output; string(output) != "null" {
		s.Output = output
	}
	return s
}

func sameState(a, b check.State) bool {
	return a.Phase == b.Phase && a.Execution == b.Execution && a.Code == b.Code && bytes.Equal(a.Output, b.Output)
}

// history returns all states that were seen, up to the stored ones.
func (o *observer) history(ctx context.Context) (map[string][]check.State, error) {
	objects, _, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	stored := map[string]bool{}
	for _, one := range objects {
		stored[one.Metadata.UID] = true
		o.addState(one)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := map[string][]check.State{}
	for uid, states := range o.states {
		seen[uid] = append([]check.State(nil), states...)
		if !stored[uid] {
			seen[uid] = append(seen[uid], check.State{Time: time.Now(), Phase: "Deleted"})
		}
	}
	return seen, nil
}
