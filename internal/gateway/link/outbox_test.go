package link

import (
	"errors"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

func TestExactlySoManyMessagesWaitForAMachine(t *testing.T) {
	o := NewOutbox(nil, func(func()) {}, nil)
	for range maxUnsent {
		if err := o.Push(&gatewayv1.StreamNodeEventsResponse{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Push(&gatewayv1.StreamNodeEventsResponse{}); !errors.Is(err, errMachineNotReading) {
		t.Errorf("Push() = %v", err)
	}
}

// The goroutine of an outbox runs only while messages wait.
func TestAnOutboxSendsWithOneGoroutineAtATime(t *testing.T) {
	var started []func()
	sent := 0
	o := NewOutbox(func(*gatewayv1.StreamNodeEventsResponse) error { sent++; return nil }, func(f func()) { started = append(started, f) }, nil)
	for round := 1; round <= 2; round++ {
		for range 3 {
			if err := o.Push(&gatewayv1.StreamNodeEventsResponse{}); err != nil {
				t.Fatal(err)
			}
		}
		if len(started) != round {
			t.Fatalf("%d goroutines are started in round %d", len(started), round)
		}
		if started[round-1](); sent != 3*round {
			t.Fatalf("%d messages are sent in round %d", sent, round)
		}
	}
}

func TestOutboxSendsInOrderAndGivesUpOnWhoDoesNotRead(t *testing.T) {
	release, sent := make(chan struct{}), make(chan string, 2*maxUnsent)
	var failed error
	o := NewOutbox(func(m *gatewayv1.StreamNodeEventsResponse) error {
		<-release
		sent <- m.GetWelcome().GetSessionId()
		return nil
	}, func(f func()) { go f() }, func(err error) { failed = err })
	message := func(id string) *gatewayv1.StreamNodeEventsResponse {
		return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Welcome{Welcome: &gatewayv1.Welcome{SessionId: id}}}
	}
	for _, id := range []string{"1", "2", "3"} {
		if err := o.Push(message(id)); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for range 2*maxUnsent + 1 {
		if err = o.Push(message("more")); err != nil {
			break
		}
	}
	if !errors.Is(err, errMachineNotReading) {
		t.Errorf("Push() = %v, want %v", err, errMachineNotReading)
	}
	close(release)
	for _, want := range []string{"1", "2", "3"} {
		if got := <-sent; got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
	if failed != nil {
		t.Errorf("the outbox reported %v", failed)
	}
}

func TestOutboxReportsABrokenStreamOnce(t *testing.T) {
	broken := errors.New("broken")
	failures := make(chan error, 2)
	o := NewOutbox(func(*gatewayv1.StreamNodeEventsResponse) error { return broken },
		func(f func()) { go f() }, func(err error) { failures <- err })
	if err := o.Push(&gatewayv1.StreamNodeEventsResponse{}); err != nil {
		t.Fatal(err)
	}
	if err := <-failures; !errors.Is(err, broken) {
		t.Errorf("reported %v", err)
	}
	if err := o.Push(&gatewayv1.StreamNodeEventsResponse{}); !errors.Is(err, broken) {
		t.Errorf("Push() = %v after the stream broke", err)
	}
}
