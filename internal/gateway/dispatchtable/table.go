package dispatchtable

import (
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Settings holds what all Tables of a gateway share. All fields are required.
type Settings struct {
	// Gateway is the name of this process, for the statuses that it writes.
	Gateway string
	// DispatchedDelay, MaxQueued, ReportGrace and ReviewAfter are the options of the same names of
	// package session.
	DispatchedDelay, ReportGrace, ReviewAfter time.Duration
	MaxQueued                                 int
	// OffersBlocked returns nil while this gateway may offer dispatches.
	OffersBlocked func() error
	// CheckInput returns an error if the input of a dispatch violates the schema, both in JSON.
	CheckInput func(schema, input []byte) error
	// Observer counts events. Log writes debug lines and failed writes.
	Observer Observer
	Log      logr.Logger
}

// Observer counts the events of Tables, for the metrics.
type Observer interface {
	Offered()
	// Settled reports a dispatch that this gateway ended.
	Settled(phase v1alpha1.DispatchPhase)
	// ForeignResult reports a result for a dispatch that does not exist or is another machine's.
	ForeignResult()
	// ResultThrottled reports a result that was dropped beyond the budget of the Node.
	ResultThrottled()
}

// Session holds what is fixed for one session.
type Session struct {
	ID   string
	Node types.NamespacedName
	// CertificateExpiry is the end of the certificate of the session; the zero time for none.
	CertificateExpiry time.Time
	// ClearanceSupported is true if the agent waits for clearances.
	ClearanceSupported bool
	// Steps is the budget of the Node for intermediate status writes, UnknownResults for results of
	// dispatches that the Table does not have.
	Steps, UnknownResults *rate.Limiter
}

// Snapshot is what the session knows at the time of a call. The Table keeps none of it.
type Snapshot struct {
	// Local is the time of the clock of this process: alarms and retries use it.
	Local time.Time
	// Server is the time of the API server: expiries and recorded times use it.
	Server time.Time
	Node   *v1alpha1.Node
	// Declared are the capabilities that the machine declared. AlteredSchemas names those whose
	// schema was changed to be stored.
	Declared       []v1alpha1.NodeCapability
	AlteredSchemas map[string]bool
	// Draining is true if no dispatch may be offered any more, and Ended if the connection of the
	// machine has ended as well.
	Draining, Ended bool
	// Cancelled is true if the work of the session was cancelled. Then a failed job is not an error
	// of the API server.
	Cancelled bool
}

// Table holds the dispatches of one Node in one session. It is not safe for concurrent use.
type Table struct {
	*Settings
	session Session
	// claimUntil is the creation time up to which a dispatch must be claimed before its offer.
	claimUntil metav1.Time
	entries    map[types.UID]*entry
	queue      queue
	// inFlight are the dispatches in the window: claimed or offered, without a result.
	inFlight map[types.UID]struct{}

	// now and effects belong to the current call.
	now     Snapshot
	effects Effects
}

// New returns an empty Table.
func New(settings *Settings, session Session) *Table {
	return &Table{Settings: settings, session: session, entries: map[types.UID]*entry{}, inFlight: map[types.UID]struct{}{}}
}

// Load replaces the contents of the Table by the unfinished dispatches of the Node. journal holds
// the dispatches that the machine has not settled, by UID.
func (t *Table) Load(now Snapshot, list []*v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch) {
	t.entries, t.inFlight, t.queue = map[types.UID]*entry{}, map[types.UID]struct{}{}, queue{}
	for _, d := range list {
		e := &entry{d: d}
		t.entries[d.UID] = e
		known := journal[d.UID]
		if known == nil {
			t.queue.add(e)
			continue
		}
		e.offered, e.offeredAt = true, now.Local
		e.markAccepted(now.Server)
		if known.GetState() != gatewayv1.UnsettledDispatch_STATE_ACCEPTED {
			e.stage = gatewayv1.Clearance_STAGE_START
		}
		t.inFlight[d.UID] = struct{}{}
	}
}

// ClaimUntil makes the Table claim a dispatch that was created at until or before, before it offers
// the dispatch. No other process can then record it as unstarted.
func (t *Table) ClaimUntil(until metav1.Time) { t.claimUntil = until }

// Has reports whether the Table has the dispatch with this UID.
func (t *Table) Has(uid types.UID) bool { return t.entries[uid] != nil }

// call runs f with now and returns the effects of f.
func (t *Table) call(now Snapshot, f func()) Effects {
	t.now = now
	f()
	effects := t.effects
	t.now, t.effects = Snapshot{}, Effects{}
	return effects
}

// Tick handles everything that is due. It is the only method that considers all entries.
func (t *Table) Tick(now Snapshot) Effects {
	return t.call(now, func() {
		for uid, e := range t.entries {
			if e.forgettable(now.Local) {
				delete(t.entries, uid)
				continue
			}
			t.advance(e)
		}
		t.offer()
	})
}

// Offer fills the window of the Node with waiting dispatches, oldest first.
func (t *Table) Offer(now Snapshot) Effects { return t.call(now, t.offer) }

// ApplyNode decides again about all dispatches, because the spec of the Node changed.
func (t *Table) ApplyNode(now Snapshot) Effects {
	return t.call(now, func() {
		t.reevaluateQueue()
		for _, e := range t.entries {
			if e.offered {
				t.advance(e)
			}
		}
	})
}

// ApplyCapabilities decides again about the waiting dispatches, because the machine declared other
// capabilities.
func (t *Table) ApplyCapabilities(now Snapshot) Effects {
	return t.call(now, func() {
		t.reevaluateQueue()
		t.offer()
	})
}

func (t *Table) reevaluateQueue() {
	for _, e := range t.queue.oldestFirst() {
		t.reevaluate(e)
	}
}
