package proof

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// OwnDecision is the value in ObservedValues of a decision that this process has written itself.
const OwnDecision = "own"

// ObservedValues stores when this process first saw a value, to tell a later proof from an earlier
// one. It is lost with the process, and the wait begins again.
type ObservedValues struct {
	mu sync.Mutex
	at map[types.UID]observedValue
}

type observedValue struct {
	value string
	since time.Time
}

// Since returns when a value of an object was first seen; for a new value it returns now.
func (s *ObservedValues) Since(uid types.UID, value string, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if observed, ok := s.at[uid]; ok && observed.value == value {
		return observed.since
	}
	if s.at == nil {
		s.at = map[types.UID]observedValue{}
	}
	s.at[uid] = observedValue{value, now}
	return now
}

// IsOwnDecision reports whether this process wrote the value itself.
func (s *ObservedValues) IsOwnDecision(uid types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[uid].value == OwnDecision
}

// Forget forgets the value of a deleted object.
func (s *ObservedValues) Forget(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, uid)
}
