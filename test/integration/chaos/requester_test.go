package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/chaos/check"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

const (
	requesterCount = 6
	// requestTimeout bounds one request; `retryInterval` is the pause before it is repeated.
	requestTimeout = 5 * time.Second
	retryInterval  = 200 * time.Millisecond
)

// request describes a dispatch that will be requested.
type request struct {
	name, machine          string
	input                  witness.Input
	timeoutSeconds, expiry int32
	cancelled              bool
	cancelAfter            time.Duration
	due                    time.Duration // from the start of createAll
}

// drawRequests draws the dispatches to request from the machines, perSecond of them per second. Most runs
// are short and a few are long. A few each are cancelled, expire soon, run out of time or fail.
func drawRequests(random *rand.Rand, machines []string, count int, perSecond float64) (all []request) {
	for i := range count {
		w := request{name: fmt.Sprintf("d-%05d", i), machine: machines[random.IntN(len(machines))],
			timeoutSeconds: 30, expiry: 3600, due: time.Duration(float64(i) / perSecond * float64(time.Second))}
		switch n := random.IntN(100); {
		case n < 70:
			w.input.SleepMilliseconds = random.IntN(100)
		case n < 95:
			w.input.SleepMilliseconds = 200 + random.IntN(600)
		default:
			w.input.SleepMilliseconds = 1500 + random.IntN(1500)
		}
		w.input.Progress = random.IntN(5) == 0
		switch n := random.IntN(100); {
		case n < 4:
			w.cancelled, w.cancelAfter = true, time.Duration(random.IntN(1500))*time.Millisecond
		case n < 7:
			w.expiry = 2 + random.Int32N(5)
		case n < 9:
			w.input.SleepMilliseconds, w.timeoutSeconds = 4000, 1
		case n < 12:
			w.input.Fail = true
		}
		all = append(all, w)
	}
	return all
}

// requester creates dispatches like a client that retries until it succeeds.
type requester struct {
	namespace string
	mu        sync.Mutex
	created   []check.Request
	cancels   sync.WaitGroup
}

// createAll creates every dispatch when it is due, and returns when all are stored and all cancellations
// are sent.
func (a *requester) createAll(ctx context.Context, all []request) error {
	began, next := time.Now(), make(chan request)
	problems := make(chan error, requesterCount)
	var group sync.WaitGroup
	for range requesterCount {
		group.Go(func() {
			for w := range next {
				if err := a.create(ctx, w); err != nil {
					problems <- err
					return
				}
			}
		})
	}
	var failed error
	for _, w := range all {
		sleep(ctx, time.Until(began.Add(w.due)))
		select {
		case next <- w:
			continue
		case failed = <-problems:
		case <-ctx.Done():
			failed = ctx.Err()
		}
		break
	}
	close(next)
	group.Wait()
	a.cancels.Wait()
	select {
	case failed = <-problems:
	default:
	}
	return failed
}

// create repeats the creation of a dispatch until it succeeds; after a lost answer the API returns
// AlreadyExists.
func (a *requester) create(ctx context.Context, w request) error {
	input, err := json.Marshal(w.input)
	if err != nil {
		return err
	}
	began := time.Now()
	var d *v1alpha1.CapabilityDispatch
	err = retryUntilAccepted(ctx, func(ctx context.Context) error {
		d = &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: w.name},
			Spec: v1alpha1.CapabilityDispatchSpec{NodeName: w.machine, Capability: witness.Name, Input: &v1alpha1.JSON{Raw: input},
				TimeoutSeconds: w.timeoutSeconds, ExpirySeconds: w.expiry}}
		err := system.Client.Create(ctx, d)
		if apierrors.IsAlreadyExists(err) {
			return system.Client.Get(ctx, client.ObjectKeyFromObject(d), d)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", w.name, err)
	}
	asked := check.Request{UID: string(d.UID), Name: d.Name, Machine: w.machine, CreateSent: began, CreateDone: time.Now(), Created: d.CreationTimestamp.Time,
		Expiry: time.Duration(w.expiry) * time.Second, Timeout: time.Duration(w.timeoutSeconds) * time.Second, Fails: w.input.Fail}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.created = append(a.created, asked)
	if at := len(a.created) - 1; w.cancelled {
		a.cancels.Go(func() { a.cancel(ctx, d, at, w.cancelAfter) })
	}
	return nil
}

// cancel waits and then repeats the cancellation of a dispatch until it succeeds.
func (a *requester) cancel(ctx context.Context, d *v1alpha1.CapabilityDispatch, at int, after time.Duration) {
	if !sleep(ctx, after) {
		return
	}
	a.mu.Lock()
	a.created[at].Cancel = time.Now()
	a.mu.Unlock()
	_ = retryUntilAccepted(ctx, func(ctx context.Context) error {
		return system.Client.Patch(ctx, d.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
	})
}

// retryUntilAccepted repeats an attempt until it succeeds or is rejected for good.
func retryUntilAccepted(ctx context.Context, attempt func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, requestTimeout)
		err := attempt(once)
		cancel()
		if err == nil || apierrors.IsInvalid(err) || !sleep(ctx, retryInterval) {
			return err
		}
	}
}

// updateRequest records an event of a requested dispatch.
func (a *requester) updateRequest(name string, change func(*check.Request)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.created {
		if a.created[i].Name == name {
			change(&a.created[i])
		}
	}
}

func (a *requester) history() []check.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]check.Request(nil), a.created...)
}
