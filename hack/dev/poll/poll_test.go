package poll_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/poll"
)

func TestAnAttemptIsRepeatedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := poll.UntilTrue(t.Context(), func() bool { return time.Since(began) >= time.Second })
		if late := time.Since(began) - time.Second; err != nil || late > 200*time.Millisecond {
			t.Errorf("it ended %s late: %v", late, err)
		}
	})
}

func TestTheLastErrorOutlivesTheEndOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		absent := errors.New("absent")
		err := poll.UntilNil(ctx, func(ctx context.Context) error { return errors.Join(ctx.Err(), absent) })
		if !errors.Is(err, absent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the last error and the end of the time", err)
		}
	})
}
