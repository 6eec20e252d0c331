package link

import (
	"errors"
	"sync"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// maxUnsent bounds the messages that wait for a machine that does not read. The window keeps the
// number far lower for a well-behaved machine.
const maxUnsent = 512

// errMachineNotReading ends the session of a machine that sends but does not read.
var errMachineNotReading = errors.New("too many messages wait for the machine")

// Outbox sends messages in order without blocking the session. Its goroutine runs only while
// messages wait, so thousands of idle sessions need no goroutine.
type Outbox struct {
	send    func(*gatewayv1.StreamNodeEventsResponse) error
	onError func(error)
	spawn   func(func())

	mu      sync.Mutex
	unsent  []*gatewayv1.StreamNodeEventsResponse
	sending bool
	err     error
}

// NewOutbox returns an Outbox that sends with send. It starts its goroutine with spawn. onError is
// called with the first error of send; it must not block.
func NewOutbox(send func(*gatewayv1.StreamNodeEventsResponse) error, spawn func(func()), onError func(error)) *Outbox {
	return &Outbox{send: send, spawn: spawn, onError: onError}
}

// Push queues a message. It returns an error if the machine does not read or has disconnected.
func (o *Outbox) Push(m *gatewayv1.StreamNodeEventsResponse) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && len(o.unsent) >= maxUnsent {
		o.err = errMachineNotReading
	}
	if o.err != nil {
		return o.err
	}
	o.unsent = append(o.unsent, m)
	if !o.sending {
		o.sending = true
		o.spawn(o.drain)
	}
	return nil
}

func (o *Outbox) drain() {
	for {
		batch := o.takeBatch()
		if batch == nil {
			return
		}
		for _, m := range batch {
			if err := o.send(m); err != nil {
				o.fail(err)
				return
			}
		}
	}
}

func (o *Outbox) takeBatch() []*gatewayv1.StreamNodeEventsResponse {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch := o.unsent
	o.unsent = nil
	o.sending = batch != nil
	return batch
}

// fail makes every later push return err. sending stays true, so no message is sent any more.
func (o *Outbox) fail(err error) {
	o.mu.Lock()
	o.err, o.unsent = err, nil
	o.mu.Unlock()
	o.onError(err)
}
