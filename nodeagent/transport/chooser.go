package transport

import "time"

const (
	// StableDuration is the length of a session after which its end does not count as a failure.
	StableDuration = time.Minute
	// maxBrokenStreams is the number of broken streams in a row after which Auto polls.
	maxBrokenStreams = 3
	// DefaultStreamProbe is the time for which Auto polls before it tries a stream. The time
	// doubles with every stream that breaks again, up to maxStreamProbe.
	DefaultStreamProbe = 10 * time.Minute
	maxStreamProbe     = 6 * time.Hour
)

// Chooser chooses the transport of the next session.
type Chooser struct {
	configured Kind
	// firstProbe bounds the first polled session.
	firstProbe time.Duration
	// broken counts the broken streams in a row; at maxBrokenStreams polls begin.
	broken int
	// probe bounds the next polled session.
	probe time.Duration
}

// NewChooser returns a Chooser for the configured kind. firstProbe is the time for which Auto polls
// before it first tries a stream again.
func NewChooser(configured Kind, firstProbe time.Duration) *Chooser {
	return &Chooser{configured: configured, firstProbe: firstProbe}
}

// Next returns the transport of the next session. until is the time after which a stream is tried
// again; 0 means never.
func (c *Chooser) Next() (kind Kind, until time.Duration) {
	switch {
	case c.configured == Poll:
		return Poll, 0
	case c.configured == Auto && c.broken >= maxBrokenStreams:
		return Poll, c.probe
	default:
		return Stream, 0
	}
}

// BrokenStreams returns the number of broken streams in a row.
func (c *Chooser) BrokenStreams() int { return c.broken }

// SessionEnded records the end of a session: its transport, its length, and whether the network may
// have broken it.
func (c *Chooser) SessionEnded(kind Kind, duration time.Duration, broken bool) {
	switch {
	case kind == Poll:
	case duration >= StableDuration:
		c.broken, c.probe = 0, 0
	case broken:
		if c.broken++; c.broken >= maxBrokenStreams {
			c.probe = min(max(2*c.probe, c.firstProbe), maxStreamProbe)
		}
	}
}

// ProbeStream makes the next session a stream after polls. If that stream breaks, polls follow.
func (c *Chooser) ProbeStream() { c.broken = maxBrokenStreams - 1 }
