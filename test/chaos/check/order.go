package check

import (
	"fmt"
	"slices"
	"time"
)

// informerDelay is the time that a gateway may need to receive all dispatches that were created while it had
// no connection to its cluster. They arrive in any order, and the first one begins before the
// others are known.
const informerDelay = 3 * time.Second

// checkOrder finds overtaken dispatches on machines that receive one offer at a time. A dispatch
// may be overtaken once, by the dispatch that the gateway received first; after that the gateway
// knows all of them.
func checkOrder(h History, cases []dispatchCase) (found []Violation) {
	byMachine := map[string][]*dispatchCase{}
	for i := range cases {
		if c := &cases[i]; len(c.starts) > 0 && h.OneAtATime[c.request.Machine] {
			byMachine[c.request.Machine] = append(byMachine[c.request.Machine], c)
		}
	}
	for _, ran := range byMachine {
		slices.SortStableFunc(ran, func(a, b *dispatchCase) int { return a.startTime().Compare(b.startTime()) })
		for i, c := range ran {
			if text := c.overtakers(ran[:i]); text != "" {
				found = append(found, Violation{OutOfOrder, c.request.UID, text})
			}
		}
	}
	return found
}

func (c *dispatchCase) startTime() time.Time { return c.starts[0].Time }

// overtakers returns a text that names the dispatches which overtook c; "" when none did. The first
// one and those that began within that delay do not count.
func (c *dispatchCase) overtakers(before []*dispatchCase) string {
	var first *dispatchCase
	for _, other := range before {
		switch {
		case !c.request.precedes(other.request):
		case first == nil:
			first = other
		case other.startTime().After(first.startTime().Add(informerDelay)):
			return fmt.Sprintf("it was created before %s and %s, but both began earlier, at %s and %s",
				first.request.Name, other.request.Name, formatTime(first.startTime()), formatTime(other.startTime()))
		}
	}
	return ""
}

// precedes reports whether a was certainly created before other: its creation was complete before
// the creation of other was sent, and it has an earlier second. Within one second every order is
// allowed.
func (a Request) precedes(other Request) bool {
	return a.CreateDone.Before(other.CreateSent) && a.Created.Before(other.Created)
}
