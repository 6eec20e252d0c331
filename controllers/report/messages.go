package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// maxStalledBytes bounds the message of the condition Stalled.
const maxStalledBytes = 4096

// StalledMessages stores, by object, the current failure of each controller. A new leader starts
// without messages and collects them again.
type StalledMessages struct {
	mu       sync.Mutex
	messages map[client.ObjectKey]map[string]string
}

// set changes the message of one controller about an object; "" removes it. It returns the text of
// the condition: the messages of all controllers.
func (m *StalledMessages) set(key client.ObjectKey, controller, message string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	byController := m.messages[key]
	if message == "" {
		delete(byController, controller)
	} else {
		if m.messages == nil {
			m.messages = map[client.ObjectKey]map[string]string{}
		}
		if byController == nil {
			byController = map[string]string{}
			m.messages[key] = byController
		}
		byController[controller] = message
	}
	if len(byController) == 0 {
		delete(m.messages, key)
		return ""
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(byController)) {
		texts = append(texts, fmt.Sprintf("%s controller: %s", name, byController[name]))
	}
	return foreign.TruncateLine(strings.Join(texts, "; "), maxStalledBytes)
}
