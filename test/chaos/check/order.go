package check

import (
	"fmt"
	"slices"
	"time"
)

// news is how long it may take a gateway to learn of all that was created while it was cut off from
// its cluster: the news comes in any order, and the first is begun before the rest is known.
const news = 3 * time.Second

// outOfOrder finds dispatches that were overtaken on machines that are offered one after the other.
// Being overtaken once is allowed, by what the gateway heard of first; from then on it knows.
func outOfOrder(h History, cases []oneCase) (found []Violation) {
	byMachine := map[string][]*oneCase{}
	for i := range cases {
		if c := &cases[i]; len(c.starts) > 0 && h.OneAtATime[c.asked.Machine] {
			byMachine[c.asked.Machine] = append(byMachine[c.asked.Machine], c)
		}
	}
	for _, ran := range byMachine {
		slices.SortStableFunc(ran, func(a, b *oneCase) int { return a.began().Compare(b.began()) })
		for i, c := range ran {
			if text := c.overtaken(ran[:i]); text != "" {
				found = append(found, Violation{OutOfOrder, c.asked.UID, text})
			}
		}
	}
	return found
}

func (c *oneCase) began() time.Time { return c.starts[0].Time }

// overtaken says by which of those that began before it was overtaken; empty when it was not, but for
// the first and what came with it.
func (c *oneCase) overtaken(before []*oneCase) string {
	var first *oneCase
	for _, other := range before {
		switch {
		case !c.asked.precedes(other.asked):
		case first == nil:
			first = other
		case other.began().After(first.began().Add(news)):
			return fmt.Sprintf("it was created before %s and %s and overtaken by both, at %s and %s",
				first.asked.Name, other.asked.Name, clock(first.began()), clock(other.began()))
		}
	}
	return ""
}

// precedes tells whether it was certainly created first: its creation was over before that of the
// other was sent, and in an earlier second. Within one second any order will do.
func (a Asked) precedes(other Asked) bool {
	return a.Done.Before(other.Began) && a.Created.Before(other.Created)
}
