package dispatchtable

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

var (
	// noon is the time at which the tests of this package begin.
	noon    = metav1.NewTime(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC))
	errTest = errors.New("for the test")
	pcKey   = types.NamespacedName{Namespace: "fleet", Name: "pc"}
)

// never is longer than every alarm of a Table.
const never = 1000 * time.Hour

// fakeClock holds the local time and the API server's time. Both advance together.
type fakeClock struct{ local, server time.Time }

func newClock() *fakeClock { return &fakeClock{noon.Time, noon.Time} }

// Now returns the local time.
func (c *fakeClock) Now() time.Time { return c.local }

func (c *fakeClock) Step(d time.Duration) { c.local, c.server = c.local.Add(d), c.server.Add(d) }

// SetTime advances the local time to at.
func (c *fakeClock) SetTime(at time.Time) { c.Step(at.Sub(c.local)) }

// store is a fake API server: one dispatch, one Node, reviews. A test controls its answers.
type store struct {
	dispatch *v1alpha1.CapabilityDispatch
	node     *v1alpha1.Node
	// allow is the result of each review.
	allow bool
	// beforeWrite runs before each write of a status.
	beforeWrite func()
	// refusal is the error of each write of a status; nil if the write succeeds.
	refusal error
	// reviewError, readError and nodeError are the errors of each review, each read of a dispatch
	// and each read of the Node; nil if it succeeds.
	reviewError, readError, nodeError error
	// writes counts the stored statuses, conflicts and refusals the others. reviews counts reviews.
	writes, conflicts, refusals, reviews int
}

// write does the same as the method Write of mailbox.Objects, except that it never waits.
func (s *store) write(d *v1alpha1.CapabilityDispatch, decide func(*v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool)) (*v1alpha1.CapabilityDispatch, error) {
	for live, refusals := false, 0; ; live = true {
		next, write := decide(d)
		if !write && live {
			return d, nil
		}
		if write {
			stored, err := s.put(d, next)
			switch {
			case err == nil:
				return stored, nil
			case apierrors.IsConflict(err):
			case apicall.IsRefusal(err):
				if refusals++; refusals > 1 {
					return d, err
				}
			default:
				return d, err
			}
		}
		fresh, err := s.read(d.UID)
		if err != nil {
			return nil, err
		}
		d = fresh
	}
}

func (s *store) put(d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) (*v1alpha1.CapabilityDispatch, error) {
	if s.beforeWrite != nil {
		s.beforeWrite()
	}
	switch {
	case s.refusal != nil:
		s.refusals++
		return nil, s.refusal
	case s.dispatch.UID != d.UID:
		return nil, mailbox.ErrDeleted
	case s.dispatch.ResourceVersion != d.ResourceVersion:
		s.conflicts++
		return nil, apierrors.NewConflict(v1alpha1.Resource("capabilitydispatches"), d.Name, errTest)
	}
	s.writes++
	stored := s.dispatch.DeepCopy() // only the status of the body is stored
	stored.Status, stored.ResourceVersion = dispatch.OrderTimes(d, dispatch.Fit(d, next)), strconv.Itoa(8+s.writes)
	s.dispatch = stored
	return stored.DeepCopy(), nil
}

func (s *store) read(uid types.UID) (*v1alpha1.CapabilityDispatch, error) {
	switch {
	case s.readError != nil:
		return nil, s.readError
	case s.dispatch.UID != uid:
		return nil, mailbox.ErrDeleted
	}
	return s.dispatch.DeepCopy(), nil
}

func (s *store) readNode() (*v1alpha1.Node, error) {
	if s.nodeError != nil {
		return nil, s.nodeError
	}
	return s.node.DeepCopy(), nil
}

func (s *store) review() (dispatch.Review, error) {
	if s.reviewError != nil {
		return dispatch.ReviewMissing, s.reviewError
	}
	if s.reviews++; s.allow {
		return dispatch.ReviewPassed, nil
	}
	return dispatch.ReviewRefused, nil
}

// gate blocks offers while err is not nil.
type gate struct{ err error }

func (g *gate) check() error { return g.err }

// counts is an Observer.
type counts struct {
	offered, foreign, throttled int
	settled                     []v1alpha1.DispatchPhase
}

func (c *counts) Offered()                             { c.offered++ }
func (c *counts) Settled(phase v1alpha1.DispatchPhase) { c.settled = append(c.settled, phase) }
func (c *counts) ForeignResult()                       { c.foreign++ }
func (c *counts) ResultThrottled()                     { c.throttled++ }

// harness is the session of a Table, without a machine and without an API server. Its jobs run only
// when the test calls runPending.
type harness struct {
	*Table
	clock *fakeClock
	store *store
	// These fields are what the session knows.
	node                       *v1alpha1.Node
	declared                   []v1alpha1.NodeCapability
	altered                    map[string]bool
	draining, ended, cancelled bool
	// stopped is true if the session stops because its Node records another one.
	stopped bool

	messages []*gatewayv1.StreamNodeEventsResponse
	pending  []Job
	wakeAt   time.Time
	counts   counts
}

// newHarness returns a Table with the defaults of the options of package session.
func newHarness(c *fakeClock) (*harness, *store, *gate) {
	h, at, g := &harness{clock: c, wakeAt: noon.Add(never)}, &store{}, &gate{}
	h.Table = New(&Settings{
		Gateway: "gw", DispatchedDelay: 200 * time.Millisecond, MaxQueued: 1000, ReportGrace: 30 * time.Second, ReviewAfter: time.Minute,
		OffersBlocked: g.check, CheckInput: func([]byte, []byte) error { return nil }, Observer: &h.counts, Log: logr.Discard(),
	}, Session{ID: "session", Node: pcKey, Steps: rate.NewLimiter(5, 32), UnknownResults: rate.NewLimiter(10, 128)})
	h.node = &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace, Name: pcKey.Name, UID: "node", ResourceVersion: "1"},
		Spec:   v1alpha1.NodeSpec{CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo"}}},
		Status: v1alpha1.NodeStatus{SessionID: "session", SessionStartedTime: &metav1.Time{Time: c.Now().Add(-time.Minute)}}}
	h.declared = []v1alpha1.NodeCapability{{Name: "echo", Available: true}}
	h.ClaimUntil(*h.node.Status.SessionStartedTime)
	h.store, at.node = at, h.node.DeepCopy()
	return h, at, g
}

func (h *harness) snapshot() Snapshot {
	return Snapshot{Local: h.clock.local, Server: h.clock.server, Node: h.node, Declared: h.declared, AlteredSchemas: h.altered,
		Draining: h.draining, Ended: h.ended, Cancelled: h.cancelled}
}

// do carries out effects in the order of session.do.
func (h *harness) do(effects Effects) {
	if !h.ended {
		h.messages = append(h.messages, effects.Messages...)
	}
	h.pending = append(h.pending, effects.Jobs...)
	if !effects.WakeAt.IsZero() && effects.WakeAt.Before(h.wakeAt) {
		h.wakeAt = effects.WakeAt
	}
}

// run calls private methods of the Table in one call.
func (h *harness) run(f func()) { h.do(h.call(h.snapshot(), f)) }

// receive passes a message of the machine to the Table.
func (h *harness) receive(m *gatewayv1.StreamNodeEventsRequest) (handled bool) {
	effects, handled := h.Receive(h.snapshot(), m)
	h.do(effects)
	return handled
}

// report passes a result of the machine to the Table.
func (h *harness) report(r *gatewayv1.Result) {
	h.receive(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: r}})
}

// runPending runs the pending jobs, and the jobs that these start.
func (h *harness) runPending() {
	for len(h.pending) > 0 {
		job := h.pending[0]
		h.pending = h.pending[1:]
		h.runJob(job)
	}
}

// runJob runs a job like session.startJob.
func (h *harness) runJob(job Job) {
	switch job := job.(type) {
	case *Write:
		h.runWrite(job)
	case *Read:
		live, err := h.store.read(types.UID(job.Dispatch.GetUid()))
		h.do(h.HandleRead(h.snapshot(), job, live, err))
	case *Review:
		review, err := h.store.review()
		h.do(h.HandleReview(h.snapshot(), job, review, err))
	case *Recheck:
		node, err := h.store.readNode()
		review := dispatch.ReviewNotDue
		if err == nil && h.ReviewDue(job.Dispatch, h.snapshot().Server) {
			review, err = h.store.review()
		}
		h.FinishRecheck(job, review, err)
		if err == nil {
			h.applyNode(node)
		}
		if !h.stopped {
			h.do(h.Clear(h.snapshot(), job, err))
		}
	}
}

func (h *harness) runWrite(job *Write) {
	var node *v1alpha1.Node
	stored, err := h.store.write(job.Dispatch, func(d *v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool) {
		if !job.IfRecorded {
			return job.Decide(d, nil, h.clock.server)
		}
		live, err := h.store.readNode()
		if err != nil {
			return d.Status, false
		}
		if node = live; node.Status.SessionID != h.session.ID {
			return d.Status, false
		}
		return job.Decide(d, node, h.clock.server)
	})
	if node != nil {
		h.applyNode(node)
	}
	h.do(h.HandleWritten(h.snapshot(), job, stored, err))
}

// applyNode applies a live Node like session.applyNode.
func (h *harness) applyNode(node *v1alpha1.Node) {
	changed := node.Generation != h.node.Generation
	h.node = node
	switch {
	case !h.recordedIn(node):
		h.stopped = true
	case changed:
		h.do(h.ApplyNode(h.snapshot()))
	}
}

func (h *harness) recordedIn(node *v1alpha1.Node) bool {
	return node.Status.SessionID == h.session.ID && dispatch.SessionOf(node).Live()
}

// sent returns all messages for the machine.
func (h *harness) sent() []*gatewayv1.StreamNodeEventsResponse { return h.messages }

// settledSent reports whether the machine was sent a Settled.
func (h *harness) settledSent() bool {
	return slices.ContainsFunc(h.sent(), func(m *gatewayv1.StreamNodeEventsResponse) bool { return m.GetSettled() != nil })
}

// cancelSent reports whether the machine was sent a Cancel.
func (h *harness) cancelSent() bool {
	return slices.ContainsFunc(h.sent(), func(m *gatewayv1.StreamNodeEventsResponse) bool { return m.GetCancel() != nil })
}

// offersSent returns the number of sent offers.
func (h *harness) offersSent() (n int) {
	for _, m := range h.sent() {
		if m.GetOffer() != nil {
			n++
		}
	}
	return n
}

// add adds an entry to the Table.
func (h *harness) add(e *entry) *entry {
	h.entries[e.d.UID] = e
	return e
}

// addStored adds a stored dispatch to the Table.
func (h *harness) addStored(d *v1alpha1.CapabilityDispatch, e entry) *entry {
	e.d = d
	h.store.dispatch = d.DeepCopy()
	return h.add(&e)
}

// addWaiting adds a stored dispatch that waits for its offer.
func (h *harness) addWaiting(d *v1alpha1.CapabilityDispatch) *entry {
	e := h.addStored(d, entry{})
	h.queue.add(e)
	return e
}

func newDispatch(c *fakeClock, phase v1alpha1.DispatchPhase) *v1alpha1.CapabilityDispatch {
	uid := uuid.NewString()
	return &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace, Name: uid, UID: types.UID(uid), ResourceVersion: "5", CreationTimestamp: metav1.NewTime(c.server)},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: pcKey.Name, Capability: "echo", ExpirySeconds: 60, TimeoutSeconds: 30},
		Status:     v1alpha1.CapabilityDispatchStatus{Phase: phase},
	}
}

func succeededResult() *dispatch.Result {
	return &dispatch.Result{Outcome: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished, Output: []byte(`1`)}
}

// succeeded returns the result of a run that the machine reports.
func succeeded(d *v1alpha1.CapabilityDispatch) *gatewayv1.Result {
	return &gatewayv1.Result{Dispatch: RefOf(d), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED,
		Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: []byte(`1`)}
}
