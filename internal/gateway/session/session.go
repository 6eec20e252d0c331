package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/aside"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

const (
	// maxWorkers bounds the writes of one session that run at once.
	maxWorkers = 32
	// maxPending is how many writes may wait before a session stops listening to its machine.
	maxPending = 128
	// idleTimer is how long a session without deadlines sleeps.
	idleTimer = time.Hour
)

// session is the actor of one Node. Everything below "owned" is touched only by the
// goroutine in run or the one it waits for, and after it by the one in finish.
type session struct {
	service *Service
	key     types.NamespacedName
	id      string
	caller  peer.Identity

	inbox    *inbox
	out      *outbox
	received chan *gatewayv1.StreamNodeEventsRequest
	// done carries what is to happen in the actor after a worker's job.
	done chan func(context.Context)

	stopOnce sync.Once
	stopped  chan struct{}
	ending   ending // set before stopped is closed
	// replaced is closed when a newer session waits for this one to go.
	replaceOnce sync.Once
	replaced    chan struct{}
	// closed is closed when nothing of the session runs any more.
	closed    chan struct{}
	lastWrite atomic.Int64 // of Node.status, Unix nanoseconds of the local clock
	journal   string
	dials     int64
	dialed    time.Time // of the API server, when the machine registered for this session
	rival     bool      // it took the place of a session with another journal
	// acceptedBefore are the dispatches that the session before on this gateway heard accepted.
	acceptedBefore map[types.UID]bool
	// tried is the resourceVersion of the Node over which the session was last recorded, or
	// was tried to be.
	tried string

	// owned
	facts     facts
	node      *v1alpha1.Node
	fastAfter metav1.Time // younger dispatches need no claim; at least facts.started
	entries   map[types.UID]*entry
	queue     queue
	ended     bool
	buried    bool      // its end is recorded, or Node.status is not about it any more
	draining  bool      // no new offers; what runs may finish
	wakeAt    time.Time // local clock
	lastHeard time.Time // local clock
	oldAt     time.Time // local clock, when the session has lasted long enough
	// flight are the dispatches in the window: claimed or offered, without a result.
	flight map[types.UID]struct{}
	*allowance
	// changed is the newest such description that is not taken in yet.
	changed *gatewayv1.CapabilitiesChanged
	// older: the journal of the machine is an old copy. doubted are the dispatches that were
	// ended for it.
	older   bool
	doubted []*gatewayv1.DispatchRef
	bundle  string // SHA-256 of the bundle last sent
	// clearing: the agent waits for clearances.
	clearing bool
	// refusal is why the Node does not let the machine in any more, since refusedAt.
	refusal   error
	refusedAt time.Time // local clock
	running   int
	pending   []func(context.Context) func(context.Context)
	// unpublished: the facts differ from Node.status; publishing: a worker writes them.
	// refreshing: the time of the last heartbeat alone is worth a write.
	unpublished, publishing, refreshing bool
}

// ending says why a session stops.
type ending struct {
	// reason is one of v1alpha1.ReasonSession…, for Node.status and the metric.
	reason string
	// err is what the machine's stream ends with; nil for a clean end.
	err error
	// forget leaves Node.status alone: it is not this session's any more.
	forget bool
}

// log names the Node. It is made for each line: a session writes few, and idles for days.
func (s *session) log() logr.Logger {
	return s.service.Log.WithValues("namespace", s.key.Namespace, "node", s.key.Name)
}

// stop ends the session; the first reason counts.
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

// run is the life of the session after it was recorded, until something stops it.
// streamCtx ends with the machine's connection, ctx carries the work. It waits in the handler
// of the stream and works aside.
func (s *session) run(streamCtx, ctx context.Context) {
	timer := s.service.Clock.NewTimer(idleTimer)
	defer timer.Stop()
	for {
		timer.Reset(max(s.wakeAt.Sub(s.service.Clock.Now()), 0))
		received := s.received
		if len(s.pending) >= maxPending {
			received = nil // Only the machine that floods has to wait.
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
			aside.Do(func() { s.heard(ctx, m) })
		case <-s.inbox.wake:
			aside.Do(func() { s.learn(ctx, s.inbox.take()) })
		case then := <-s.done:
			aside.Do(func() { s.worked(ctx, then) })
		case <-timer.C():
			aside.Do(func() { s.tick(ctx) })
		}
	}
}

// wakeBy makes the session look again at that time of the local clock, at the latest.
func (s *session) wakeBy(at time.Time) {
	if at.Before(s.wakeAt) {
		s.wakeAt = at
	}
}

// wakeIn is wakeBy for a duration; never sooner than a millisecond, never later than a day.
func (s *session) wakeIn(d time.Duration) {
	s.wakeBy(s.service.Clock.Now().Add(min(max(d, time.Millisecond), 24*time.Hour)))
}

// work runs job in a worker, then what it returns in the actor.
func (s *session) work(ctx context.Context, job func(context.Context) func(context.Context)) {
	if s.running >= maxWorkers {
		s.pending = append(s.pending, job)
		return
	}
	s.running++
	s.service.registry.spawn(func() { s.done <- job(ctx) })
}

func (s *session) worked(ctx context.Context, then func(context.Context)) {
	s.running--
	then(ctx)
	if len(s.pending) > 0 && s.running < maxWorkers {
		job := s.pending[0]
		s.pending = s.pending[1:]
		s.work(ctx, job)
	}
}

// send leaves a message for the machine.
func (s *session) send(m *gatewayv1.StreamNodeEventsResponse) {
	if s.ended {
		return
	}
	if err := s.out.push(m); err != nil {
		s.stop(ending{reason: v1alpha1.ReasonSessionLost, err: status.Error(codes.ResourceExhausted, err.Error())})
	}
}
