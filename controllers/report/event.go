// Package report reports changes and failures of objects to users: by Events, and by the condition
// Stalled.
package report

import (
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/internal/foreign"
)

// NewRecorder returns the recorder of the Events of this controller.
func NewRecorder(mgr ctrl.Manager) events.EventRecorder {
	return mgr.GetEventRecorder("mooring-controller")
}

// maxNoteBytes is the longest event note that the API server accepts.
const maxNoteBytes = 1024

// Emit records an event about a stored change. action names in UpperCamelCase what the controller
// did or tried. The note is one line without unsafe characters.
func Emit(recorder events.EventRecorder, object client.Object, severity, reason, action, message string) {
	recorder.Eventf(object, nil, severity, reason, action, "%s", foreign.TruncateLine(message, maxNoteBytes))
}
