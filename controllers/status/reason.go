package status

import (
	"fmt"
)

// Reason is the reason of a condition or an event, and its message for users.
type Reason struct{ Reason, Message string }

// NewReason returns a reason with a message.
func NewReason(reason, message string) *Reason { return &Reason{reason, message} }

// Reasonf returns a reason with a formatted message.
func Reasonf(reason, format string, args ...any) *Reason {
	return NewReason(reason, fmt.Sprintf(format, args...))
}
