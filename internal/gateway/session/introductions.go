package session

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// introductionLife is the time that a RegisterNode is kept for its Hello.
const introductionLife = 2 * time.Minute

// introductions keeps the last RegisterNode of each Node until its Hello, for at most
// introductionLife.
type introductions struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	byNode map[types.NamespacedName]introduction
	swept  time.Time
}

type introduction struct {
	description
	publicKeySHA256 string
	at              time.Time
}

func newIntroductions(c clock.PassiveClock) *introductions {
	return &introductions{clock: c, byNode: map[types.NamespacedName]introduction{}, swept: c.Now()}
}

func (i *introductions) put(key types.NamespacedName, publicKeySHA256 string, d description) {
	now := i.clock.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.byNode[key] = introduction{d, publicKeySHA256, now}
	if now.Sub(i.swept) < introductionLife {
		return
	}
	i.swept = now
	for key, old := range i.byNode {
		if now.Sub(old.at) > introductionLife {
			delete(i.byNode, key)
		}
	}
}

// take removes and returns the registration of the owner of the key, with its time.
func (i *introductions) take(key types.NamespacedName, publicKeySHA256 string) (introduction, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	found, ok := i.byNode[key]
	if !ok || found.publicKeySHA256 != publicKeySHA256 || i.clock.Since(found.at) > introductionLife {
		return introduction{}, false
	}
	delete(i.byNode, key)
	return found, true
}
