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
	askers = 6
	// answerWithin bounds one request; `retryAfter` is the pause before it is repeated.
	answerWithin = 5 * time.Second
	retryAfter   = 200 * time.Millisecond
)

// wish describes a dispatch that will be requested.
type wish struct {
	name, machine          string
	input                  witness.Input
	timeoutSeconds, expiry int32
	cancelled              bool
	cancelAfter            time.Duration
	due                    time.Duration // from the start of ask
}

// wishes draws the dispatches to request from the machines, perSecond of them per second. Most runs
// are short and a few are long. A few each are cancelled, expire soon, run out of time or fail.
func wishes(random *rand.Rand, machines []string, count int, perSecond float64) (all []wish) {
	for i := range count {
		w := wish{name: fmt.Sprintf("d-%05d", i), machine: machines[random.IntN(len(machines))],
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

// asker creates dispatches like a client that retries until it succeeds.
type asker struct {
	namespace string
	mu        sync.Mutex
	asked     []check.Asked
	cancels   sync.WaitGroup
}

// ask creates every dispatch when it is due, and returns when all are stored and all cancellations
// are sent.
func (a *asker) ask(ctx context.Context, all []wish) error {
	began, next := time.Now(), make(chan wish)
	problems := make(chan error, askers)
	var group sync.WaitGroup
	for range askers {
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
		wait(ctx, time.Until(began.Add(w.due)))
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
func (a *asker) create(ctx context.Context, w wish) error {
	input, err := json.Marshal(w.input)
	if err != nil {
		return err
	}
	began := time.Now()
	var d *v1alpha1.CapabilityDispatch
	err = insist(ctx, func(ctx context.Context) error {
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
	asked := check.Asked{UID: string(d.UID), Name: d.Name, Machine: w.machine, Began: began, Done: time.Now(), Created: d.CreationTimestamp.Time,
		Expiry: time.Duration(w.expiry) * time.Second, Timeout: time.Duration(w.timeoutSeconds) * time.Second, Fails: w.input.Fail}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, asked)
	if at := len(a.asked) - 1; w.cancelled {
		a.cancels.Go(func() { a.cancel(ctx, d, at, w.cancelAfter) })
	}
	return nil
}

// cancel waits and then repeats the cancellation of a dispatch until it succeeds.
func (a *asker) cancel(ctx context.Context, d *v1alpha1.CapabilityDispatch, at int, after time.Duration) {
	if !wait(ctx, after) {
		return
	}
	a.mu.Lock()
	a.asked[at].Cancel = time.Now()
	a.mu.Unlock()
	_ = insist(ctx, func(ctx context.Context) error {
		return system.Client.Patch(ctx, d.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))
	})
}

// insist repeats an attempt until it succeeds or is rejected for good.
func insist(ctx context.Context, attempt func(context.Context) error) error {
	for {
		once, cancel := context.WithTimeout(ctx, answerWithin)
		err := attempt(once)
		cancel()
		if err == nil || apierrors.IsInvalid(err) || !wait(ctx, retryAfter) {
			return err
		}
	}
}

// happened records an event of a requested dispatch.
func (a *asker) happened(name string, change func(*check.Asked)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.asked {
		if a.asked[i].Name == name {
			change(&a.asked[i])
		}
	}
}

func (a *asker) history() []check.Asked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]check.Asked(nil), a.asked...)
}
