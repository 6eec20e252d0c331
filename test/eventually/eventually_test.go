package eventually_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mooring-dev/mooring/test/eventually"
)

// failure records the message of a failed test instead of failing.
type failure struct {
	testing.TB
	deadline time.Time
	message  string
}

func (f *failure) Helper() {}

func (f *failure) Deadline() (time.Time, bool) { return f.deadline, !f.deadline.IsZero() }

func (f *failure) Fatalf(format string, args ...any) { f.message = fmt.Sprintf(format, args...) }

func TestAWaitReportsItsConditionAndTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, state := &failure{TB: t}, "idle"
		eventually.True(f, "it is ready", func() bool { state = "busy"; return false }, &state)
		for _, part := range []string{"it is ready", "last seen: busy"} {
			if !strings.Contains(f.message, part) {
				t.Errorf("the message %q lacks %q", f.message, part)
			}
		}
		eventually.Succeeds(f, "it is ready", func(context.Context) error { return errors.New("absent") })
		if !strings.Contains(f.message, "it is ready: absent") {
			t.Errorf("the message is %q", f.message)
		}
	})
}

func TestAWaitEndsBeforeTheTestProgramDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &failure{TB: t, deadline: began.Add(30 * time.Second)}
		eventually.True(f, "it is ready", func() bool { return false })
		if waited := time.Since(began); f.message == "" || waited >= 30*time.Second {
			t.Errorf("after %s: %q", waited, f.message)
		}
	})
}

func TestAWaitEndsWithItsCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := &failure{TB: t}
		eventually.True(f, "a second has passed", func() bool { return time.Since(began) >= time.Second })
		eventually.Succeeds(f, "nothing", func(context.Context) error { return nil })
		if f.message != "" {
			t.Error(f.message)
		}
	})
}
