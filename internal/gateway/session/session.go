package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/freshstack"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

const (
	// maxWorkers bounds the concurrent writes of one session.
	maxWorkers = 32
	// maxPending is the number of waiting writes from which a session stops reading from its
	// machine.
	maxPending = 128
	// idleTimer is the time that a session without deadlines sleeps.
	idleTimer = time.Hour
)

// session is the actor of one Node. Only the goroutine in run, or the goroutine that run waits
// for, accesses the fields below "owned". After run, only the goroutine in finish does.
type session struct {
	service *Service
	key     types.NamespacedName
	id      string
	caller  peer.Identity

	inbox    *inbox
	outbox   outbox
	received chan *gatewayv1.StreamNodeEventsRequest
	// done carries the function that the actor runs after a worker's job.
	done chan func(context.Context)

	stopOnce sync.Once
	stopped  chan struct{}
	ending   ending // set before stopped is closed
	// replaced is closed when a newer session waits for the end of this one.
	replaceOnce sync.Once
	replaced    chan struct{}
	// closed is closed when no goroutine of the session runs any more.
	closed          chan struct{}
	lastWrite       atomic.Int64 // last write of Node.status, Unix nanoseconds of the local clock
	journalID       string
	dialCounter     int64
	dialedAt        time.Time // API server's time: the machine registered for this session then
	helloAt         time.Time // gateway's clock: Hello was received then
	journalConflict bool      // this session replaced a session with another journal
	// previouslyAccepted are the dispatches whose acceptance the previous session on this gateway
	// received and could not record.
	previouslyAccepted map[types.UID]bool
	// attemptedResourceVersion is the resourceVersion of the Node over which the last attempt to
	// record the session was made.
	attemptedResourceVersion string

	// owned
	facts         nodestatus.Facts
	node          *v1alpha1.Node
	table         *dispatchtable.Table
	ended         bool
	endRecorded   bool      // the end is recorded, or Node.status does not describe this session any more
	draining      bool      // no new offers; running dispatches may finish
	wakeAt        time.Time // local clock
	lastMessageAt time.Time // local clock
	maxAgeAt      time.Time // local clock: the session reaches its maximum age then
	*allowance
	// pendingCapabilities is the newest CapabilitiesChanged that is not applied yet.
	pendingCapabilities *gatewayv1.CapabilitiesChanged
	// journalRolledBack is true if the journal of the machine is an old copy. unverified are the
	// dispatches that were ended for this reason.
	journalRolledBack bool
	unverified        []*gatewayv1.DispatchRef
	bundle            string // SHA-256 of the bundle last sent
	// clearanceSupported is true if the agent waits for clearances.
	clearanceSupported bool
	// refusal is the reason why the machine is not authorized any more, since refusedAt.
	refusal   error
	refusedAt time.Time // local clock
	running   int
	pending   []func(context.Context) func(context.Context)
	publisher *publisher.Publisher
}

// outbox queues messages for the machine; see link.Outbox. Push never blocks. Its error ends the
// session.
type outbox interface {
	Push(*gatewayv1.StreamNodeEventsResponse) error
}

// ending is the reason why a session stops.
type ending struct {
	// reason is one of v1alpha1.ReasonSession…, for Node.status and the metric.
	reason string
	// err is the error that ends the machine's stream; nil for a clean end.
	err error
	// skipRecord is true if Node.status must not be written, because it does not describe this
	// session any more.
	skipRecord bool
}

// log returns a logger with the name of the Node. It is created for each line, because a session
// writes few lines and idles for days.
func (s *session) log() logr.Logger {
	return s.service.Log.WithValues("namespace", s.key.Namespace, "node", s.key.Name)
}

// stop ends the session. Only the first call sets the reason.
func (s *session) stop(e ending) {
	s.stopOnce.Do(func() {
		s.ending = e
		close(s.stopped)
	})
}

// replace ends the session at once, because a newer one waits for it.
func (s *session) replace(e ending) {
	s.stop(e)
	s.replaceOnce.Do(func() { close(s.replaced) })
}

// run handles the events of a recorded session until the session stops. streamCtx ends with the
// machine's connection; ctx is the context of the work. run waits on the stack of the stream
// handler and does the work with freshstack.Do, so that this stack stays small.
func (s *session) run(streamCtx, ctx context.Context) {
	timer := s.service.Clock.NewTimer(idleTimer)
	defer timer.Stop()
	for {
		timer.Reset(max(s.wakeAt.Sub(s.service.Clock.Now()), 0))
		received := s.received
		if len(s.pending) >= maxPending {
			received = nil // Only the machine that sends too much has to wait.
		}
		select {
		case <-s.stopped:
			return
		case <-streamCtx.Done():
			s.stop(ending{reason: v1alpha1.ReasonSessionLost, err: streamCtx.Err()})
		case m, open := <-received:
			if !open {
				s.stop(ending{reason: v1alpha1.ReasonSessionLost, err: status.Error(codes.Canceled, "the machine closed the stream")})
				return
			}
			freshstack.Do(func() { s.handleMessage(ctx, m) })
		case <-s.inbox.wake:
			freshstack.Do(func() { s.applyEvents(ctx, s.inbox.take()) })
		case then := <-s.done:
			freshstack.Do(func() { s.handleWorkerDone(ctx, then) })
		case <-timer.C():
			freshstack.Do(func() { s.tick(ctx) })
		}
	}
}

// wakeBy sets the alarm of the session to at, unless the alarm is earlier. at is a time of the
// local clock.
func (s *session) wakeBy(at time.Time) {
	if at.Before(s.wakeAt) {
		s.wakeAt = at
	}
}

// wakeIn calls wakeBy with a time between one millisecond and one day from now.
func (s *session) wakeIn(d time.Duration) {
	s.wakeBy(s.service.Clock.Now().Add(min(max(d, time.Millisecond), 24*time.Hour)))
}

// runInWorker runs job in a worker, and then the function that job returned in the actor.
func (s *session) runInWorker(ctx context.Context, job func(context.Context) func(context.Context)) {
	if s.running >= maxWorkers {
		s.pending = append(s.pending, job)
		return
	}
	s.running++
	s.service.registry.spawn(func() { s.done <- job(ctx) })
}

func (s *session) handleWorkerDone(ctx context.Context, then func(context.Context)) {
	s.running--
	then(ctx)
	if len(s.pending) > 0 && s.running < maxWorkers {
		job := s.pending[0]
		s.pending = s.pending[1:]
		s.runInWorker(ctx, job)
	}
}

// send queues a message for the machine.
func (s *session) send(m *gatewayv1.StreamNodeEventsResponse) {
	if s.ended {
		return
	}
	if err := s.outbox.Push(m); err != nil {
		s.stop(ending{reason: v1alpha1.ReasonSessionLost, err: denial.New(codes.ResourceExhausted, gatewayv1.ReasonMachineNotReading, err.Error())})
	}
}
