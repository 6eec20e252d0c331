package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// ClockMargin is how far inside an Epoch an object must have been created to be covered. It
	// exceeds the clock difference of API servers, and the time until a policy is in force.
	ClockMargin = 2 * time.Second
	// stampPrecision is the precision of a creation timestamp.
	stampPrecision = time.Second
	// epochRetention is how long an ended Epoch is kept: longer than the longest wait of a dispatch.
	epochRetention = 8 * 24 * time.Hour
	// maxEpochs bounds the number of stored Epochs. Objects of a dropped Epoch count as not
	// covered.
	maxEpochs = 64
)

// Epoch is a series of proofs without a failure, during which no policy and no binding was replaced
// or edited. The policies were in force from its first proof to its last one, even while no
// controller proved them. The reason is that UID and generation of an object never return to an
// older value.
type Epoch struct {
	// ID is random, so that no writer can name an Epoch before it began.
	ID string `json:"id"`
	// Since is when the first proof began; it is zero for the first Epoch of a cluster, which
	// adopts the existing objects. Until is when the last proof began. Both are API server time.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// confirmed reports whether an object that is created after the last proof can be covered.
func (e Epoch) confirmed() bool {
	return e.Since.IsZero() || e.Until.Sub(e.Since) >= stampPrecision+ClockMargin
}

func (e Epoch) covers(created time.Time) bool {
	from := e.Since
	if !from.IsZero() {
		from = from.Add(ClockMargin)
	}
	return !created.Before(from) && !created.Add(stampPrecision+ClockMargin).After(e.Until)
}

// Coverage is the result of the proofs for the time at which an object was created.
type Coverage int

const (
	// Awaiting means that a later proof can still cover the time.
	Awaiting Coverage = iota
	// Covered means that the time lies between two proofs of one Epoch.
	Covered
	// Uncovered means that no proof covers the time, and none ever will.
	Uncovered
)

// history is the stored part of a Record.
type history struct {
	// Epochs are in chronological order. The last one is in force unless Failure is set.
	Epochs []Epoch `json:"epochs"`
	// First is the ID of the very first recorded Epoch.
	First string `json:"first"`
	// Objects maps each policy and binding of the last proof to its UID and generation.
	Objects map[string]string `json:"objects"`
	// Failure is the fault that the last attempt found; empty after a proof.
	Failure string `json:"failure,omitempty"`
}

// afterProof returns the history after a proof of objects that began at the given time. It begins
// an Epoch with the given id if the proof cannot extend the last one.
func (h history) afterProof(objects map[string]string, began time.Time, id string) history {
	next := history{Epochs: slices.Clone(h.Epochs), First: h.First, Objects: objects}
	last := len(next.Epochs) - 1
	switch {
	case last < 0:
		next.First = id
		next.Epochs = []Epoch{{ID: id, Until: began}}
	case h.Failure == "" && maps.Equal(h.Objects, objects):
		if began.After(next.Epochs[last].Until) {
			next.Epochs[last].Until = began
		}
	default:
		next.Epochs = append(next.Epochs, Epoch{ID: id, Since: began, Until: began})
	}
	for len(next.Epochs) > 1 && (len(next.Epochs) > maxEpochs || began.Sub(next.Epochs[0].Until) > epochRetention) {
		next.Epochs = next.Epochs[1:]
	}
	return next
}

// afterFailure returns the history after an attempt that disproved the policies.
func (h history) afterFailure(failure string) history {
	h.Failure = failure
	return h
}

// changed returns the names of the policies and bindings that differ from those of the last proof.
func (h history) changed(objects map[string]string) string {
	var names []string
	for name, identity := range objects {
		if stored, ok := h.Objects[name]; ok && stored != identity {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// covers returns the coverage of a creation time and the Epoch that it lies in.
func (h history) covers(created time.Time) (Coverage, Epoch) {
	if len(h.Epochs) == 0 {
		return Awaiting, Epoch{}
	}
	for _, epoch := range h.Epochs {
		if epoch.covers(created) {
			return Covered, epoch
		}
	}
	last := h.Epochs[len(h.Epochs)-1]
	from := last.Since
	if !from.IsZero() {
		from = from.Add(ClockMargin)
	}
	if h.Failure == "" && !created.Before(from) {
		return Awaiting, last
	}
	return Uncovered, Epoch{}
}

// Record stores the Epochs for the reconcilers of the leading controller. It is empty until the
// first proof of this process.
type Record struct {
	mu       sync.Mutex
	history  history
	loaded   bool
	requests chan struct{}
	hooks    []EpochHook
}

// EpochHook runs when an Epoch is in force that this process has not seen before, before the gates
// open for it. first is true for the first Epoch of a cluster.
type EpochHook func(ctx context.Context, epoch Epoch, first bool) error

// NewRecord returns an empty Record.
func NewRecord() *Record { return &Record{requests: make(chan struct{}, 1)} }

// Current returns the Epoch in force and whether it is the first one of the cluster. ok is false
// before the first proof and while the policies are disproved.
func (r *Record) Current() (epoch Epoch, first, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.loaded || r.history.Failure != "" || len(r.history.Epochs) == 0 {
		return Epoch{}, false, false
	}
	epoch = r.history.Epochs[len(r.history.Epochs)-1]
	return epoch, epoch.ID == r.history.First, true
}

// Failing reports whether the last attempt disproved the policies.
func (r *Record) Failing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loaded && r.history.Failure != ""
}

// Covers returns the coverage of a creation timestamp, which only the API server can set, and the
// Epoch that it lies in.
func (r *Record) Covers(created time.Time) (Coverage, Epoch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.loaded {
		return Awaiting, Epoch{}
	}
	return r.history.covers(created)
}

// ProvenAfter reports whether the policies were proven after a time of the API server.
func (r *Record) ProvenAfter(t time.Time) bool {
	epoch, _, ok := r.Current()
	return ok && epoch.Until.After(t)
}

// Request asks the Prover for a proof soon.
func (r *Record) Request() {
	select {
	case r.requests <- struct{}{}:
	default:
	}
}

// Requests returns the channel on which Request signals.
func (r *Record) Requests() <-chan struct{} { return r.requests }

// OnEpoch adds a hook. It must be called before the Prover starts.
func (r *Record) OnEpoch(hook EpochHook) { r.hooks = append(r.hooks, hook) }

func (r *Record) set(next history) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history, r.loaded = next, true
}

func (r *Record) snapshot() history {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history
}

func (r *Record) runHooks(ctx context.Context) error {
	epoch, first, ok := r.Current()
	if !ok {
		return nil
	}
	for _, hook := range r.hooks {
		if err := hook(ctx, epoch, first); err != nil {
			return fmt.Errorf("check the objects that the policies guard: %w", err)
		}
	}
	return nil
}

func lastEpoch(h history) Epoch {
	if len(h.Epochs) == 0 {
		return Epoch{}
	}
	return h.Epochs[len(h.Epochs)-1]
}
