package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheCeilingDoublesToTheCapAndResets(t *testing.T) {
	b := &Backoff{Base: time.Second, Cap: 5 * time.Minute, Jitter: func() float64 { return 0.5 }}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
	for i, ceiling := range want {
		if got := b.Next(); got != ceiling*time.Second/2 {
			t.Errorf("delay %d is %s, want half of %s", i, got, ceiling*time.Second)
		}
	}
	for range 100 {
		if got := b.Next(); got != 150*time.Second {
			t.Fatalf("after many failures: %s", got)
		}
	}
	b.Reset()
	if got := b.Next(); got != 500*time.Millisecond {
		t.Errorf("after Reset: %s", got)
	}
}

func TestSleepEndsWithItsContextAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if err := Sleep(ctx, time.Hour); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		start := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("slept %s: %v", time.Since(start), err)
		}
	})
}
