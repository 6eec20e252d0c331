package gateway

import (
	"slices"
	"testing"
	"time"
)

const (
	alfa    = "192.0.2.1"
	bravo   = "192.0.2.2"
	charlie = "192.0.2.3"
)

// newTestScheduler returns a scheduler and the connections that got a turn, in order.
func newTestScheduler(bounds handshakeBounds) (t *handshakeScheduler, began *[]*limitedConn) {
	began = &[]*limitedConn{}
	return newHandshakeScheduler(bounds, func(c *limitedConn) { *began = append(*began, c) }), began
}

// enqueueMany queues connections of one source.
func (t *handshakeScheduler) enqueueMany(address string, count int, now time.Time) (all []*limitedConn) {
	for range count {
		c := newTestConn(address, now)
		t.enqueue(c, now)
		all = append(all, c)
	}
	return all
}

func TestTheSourcesTakeTurns(t *testing.T) {
	now := time.Now()
	turns, began := newTestScheduler(handshakeBounds{concurrent: 4})
	a := turns.enqueueMany(alfa, 5, now)
	if !slices.Equal(*began, a[:2]) {
		t.Fatalf("%d began, want the half that one source may have", len(*began))
	}
	b, c := turns.enqueueMany(bravo, 2, now), turns.enqueueMany(charlie, 2, now)
	if !slices.Equal(*began, slices.Concat(a[:2], b)) {
		t.Fatalf("%d began, want all turns taken", len(*began))
	}
	for i, tt := range []struct{ ends, begins *limitedConn }{
		{b[0], c[0]}, // alfa has its half of the turns
		{b[1], c[1]},
		{a[0], a[2]},
		{a[1], a[3]},
		{c[0], nil}, // alfa has its half of the turns again
		{a[2], a[4]},
	} {
		before := len(*began)
		turns.release(tt.ends)
		if tt.begins == nil && len(*began) != before || tt.begins != nil && (len(*began) != before+1 || (*began)[before] != tt.begins) {
			t.Fatalf("end %d: %d began", i, len(*began)-before)
		}
	}
	for _, one := range slices.Concat(a, b, c) {
		turns.release(one)
	}
	if len(turns.active)+len(turns.bySource)+turns.ring.Len() != 0 {
		t.Errorf("%d turns, %d sources, %d in the ring are left", len(turns.active), len(turns.bySource), turns.ring.Len())
	}
}

func TestOneTurnIsForEverySource(t *testing.T) {
	turns, began := newTestScheduler(handshakeBounds{concurrent: 1})
	a := turns.enqueueMany(alfa, 1, time.Now())
	b := turns.enqueueMany(bravo, 1, time.Now())
	turns.release(b[0]) // while it is in the queue
	turns.release(a[0])
	if !slices.Equal(*began, a) || len(turns.bySource) != 0 {
		t.Errorf("%d began, %d sources are left", len(*began), len(turns.bySource))
	}
}

func TestAClosedConnectionLeavesTheQueue(t *testing.T) {
	turns, began := newTestScheduler(handshakeBounds{concurrent: 2})
	turns.enqueueMany(alfa, 1, time.Now())
	closed := newTestConn(alfa, time.Now())
	closed.closed = true
	turns.enqueue(closed, time.Now())
	if len(*began) != 1 || turns.bySource[closed.source].waiting.Len() != 0 {
		t.Errorf("%d began, %d wait", len(*began), turns.bySource[closed.source].waiting.Len())
	}
}

func TestStoppedTurnsEndWhatIsSilentOrWaits(t *testing.T) {
	turns, began := newTestScheduler(handshakeBounds{concurrent: 4})
	a := turns.enqueueMany(alfa, 4, time.Now())
	b := turns.enqueueMany(bravo, 3, time.Now())
	a[0].firstByteReceived.Store(true)
	ended := turns.stop()
	for _, c := range slices.Concat(a[1:], b) {
		if !slices.Contains(ended, c) {
			t.Error("a connection that is silent or waits is not ended")
		}
	}
	if len(ended) != 6 {
		t.Errorf("%d connections end, want all but the one in its handshake", len(ended))
	}
	before := len(*began)
	turns.release(a[0])
	if len(*began) != before {
		t.Error("a turn is granted after the stop")
	}
}

// A turn is shorter while other sources wait. With countOwnSource it is also shorter while other
// connections of its source wait.
func TestATurnEndsAfterItsTime(t *testing.T) {
	const silent, silentShort, handshake, handshakeShort, queue = 10 * time.Second, time.Second, 20 * time.Second, 5 * time.Second, 30 * time.Second
	bounds := handshakeBounds{concurrent: 2, silent: silent, silentWhileOthersWait: silentShort, handshake: handshake, handshakeWhileOthersWait: handshakeShort, queue: queue}
	for name, tt := range map[string]struct {
		spoken, strangers bool
		waiting           string // the source of a waiting connection
		limit             time.Duration
	}{
		"silent":                            {false, false, "", silent},
		"speaks":                            {true, false, "", handshake},
		"silent, another source waits":      {false, false, bravo, silentShort},
		"speaks, another source waits":      {true, false, bravo, handshakeShort},
		"silent, its source waits":          {false, false, alfa, silent},
		"speaks, its source waits":          {true, false, alfa, handshake},
		"a stranger, its source waits":      {false, true, alfa, silentShort},
		"a stranger speaks, its source too": {true, true, alfa, handshakeShort},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			bounds.countOwnSource = tt.strangers
			turns, _ := newTestScheduler(bounds)
			c := turns.enqueueMany(alfa, 1, now)[0]
			c.firstByteReceived.Store(tt.spoken)
			if tt.waiting != "" {
				turns.maxActive = 1
				turns.enqueueMany(tt.waiting, 1, now)
			}
			if late := turns.expired(now.Add(tt.limit)); slices.Contains(late, c) {
				t.Errorf("it is late after %s", tt.limit)
			}
			if late := turns.expired(now.Add(tt.limit + 1)); !slices.Contains(late, c) {
				t.Errorf("it is not late after more than %s", tt.limit)
			}
		})
	}
}

func TestAConnectionWaitsForItsTurnOnlySoLong(t *testing.T) {
	now := time.Now()
	turns, _ := newTestScheduler(handshakeBounds{concurrent: 1, silent: time.Hour, silentWhileOthersWait: time.Hour, queue: time.Minute})
	turns.enqueueMany(alfa, 1, now)
	first, next := turns.enqueueMany(bravo, 1, now)[0], turns.enqueueMany(bravo, 1, now.Add(time.Second))[0]
	for _, tt := range []struct {
		after time.Duration
		late  []*limitedConn
	}{
		{time.Minute, nil}, {time.Minute + 1, []*limitedConn{first}}, {time.Minute + time.Second, []*limitedConn{first}},
		{time.Minute + time.Second + 1, []*limitedConn{first, next}},
	} {
		if late := turns.expired(now.Add(tt.after)); !slices.Equal(late, tt.late) {
			t.Errorf("after %s %d are late, want %d", tt.after, len(late), len(tt.late))
		}
	}
}
