package session

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// registrationTTL is the time that a RegisterNode is kept for its Hello.
const registrationTTL = 2 * time.Minute

// registrations keeps the last RegisterNode of each Node until its Hello, for at most
// registrationTTL.
type registrations struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	byNode  map[types.NamespacedName]registration
	sweptAt time.Time
}

type registration struct {
	nodestatus.Description
	publicKeySHA256 string
	registeredAt    time.Time
}

func newRegistrations(c clock.PassiveClock) *registrations {
	return &registrations{clock: c, byNode: map[types.NamespacedName]registration{}, sweptAt: c.Now()}
}

func (i *registrations) put(key types.NamespacedName, publicKeySHA256 string, d nodestatus.Description) {
	now := i.clock.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.byNode[key] = registration{d, publicKeySHA256, now}
	if now.Sub(i.sweptAt) < registrationTTL {
		return
	}
	i.sweptAt = now
	for key, old := range i.byNode {
		if now.Sub(old.registeredAt) > registrationTTL {
			delete(i.byNode, key)
		}
	}
}

// take removes and returns the registration of the owner of the key, with its time.
func (i *registrations) take(key types.NamespacedName, publicKeySHA256 string) (registration, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	found, ok := i.byNode[key]
	if !ok || found.publicKeySHA256 != publicKeySHA256 || i.clock.Since(found.registeredAt) > registrationTTL {
		return registration{}, false
	}
	delete(i.byNode, key)
	return found, true
}
