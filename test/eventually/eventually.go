// Package eventually lets a test wait until a condition holds.
package eventually

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/poll"
)

// reserve is the time before the deadline of the test program in which a wait can still report its
// condition. At the deadline the program panics.
const reserve = 5 * time.Second

// Within bounds a wait. A wait ends at once when its condition holds. The bound must be long enough
// for a busy machine, and shorter than every other cause of the condition.
type Within time.Duration

// Patience is the bound of True and Succeeds.
const Patience = Within(time.Minute)

// True waits for at most `Patience` until holds returns true, see Within.True.
func True(t testing.TB, condition string, holds func() bool, shown ...any) {
	t.Helper()
	Patience.True(t, condition, holds, shown...)
}

// Succeeds waits for at most `Patience` until attempt returns nil, see Within.Succeeds.
func Succeeds(t testing.TB, condition string, attempt func(context.Context) error) {
	t.Helper()
	Patience.Succeeds(t, condition, attempt)
}

// True waits until holds returns true. Otherwise the test fails with the condition and with the
// values that shown points to.
func (w Within) True(t testing.TB, condition string, holds func() bool, shown ...any) {
	t.Helper()
	ctx, cancel := w.bound(t)
	defer cancel()
	if err := poll.UntilTrue(ctx, holds); err != nil {
		var values strings.Builder
		for _, value := range shown {
			fmt.Fprintf(&values, "\nlast seen: %+v", reflect.Indirect(reflect.ValueOf(value)))
		}
		t.Fatalf("waited in vain: %s: %v%s", condition, err, values.String())
	}
}

// Succeeds waits until attempt returns nil. Otherwise the test fails with the condition and with
// the last error.
func (w Within) Succeeds(t testing.TB, condition string, attempt func(context.Context) error) {
	t.Helper()
	ctx, cancel := w.bound(t)
	defer cancel()
	if err := poll.UntilNil(ctx, attempt); err != nil {
		t.Fatalf("waited in vain: %s: %v", condition, err)
	}
}

// bound returns a context that ends with the bound or just before the deadline of the test program.
// It also works in a cleanup, where the context of the test has ended.
func (w Within) bound(t testing.TB) (context.Context, context.CancelFunc) {
	end := time.Now().Add(time.Duration(w))
	if test, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, ok := test.Deadline(); ok && deadline.Add(-reserve).Before(end) {
			end = deadline.Add(-reserve)
		}
	}
	return context.WithDeadline(context.WithoutCancel(t.Context()), end)
}
