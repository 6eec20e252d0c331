package check

import (
	"fmt"
	"slices"
	"time"
)

// news is the time that a gateway may need to receive all dispatches that were created while it had
// no connection to its cluster. They arrive in any order, and the first one begins before the
// others are known.
const news = 3 * time.Second

// outOfOrder finds overtaken dispatches on machines that receive one offer at a time. A dispatch
// may be overtaken once, by the dispatch that the gateway received first; after that the gateway
// knows all of them.
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

// overtaken returns a text that names the dispatches which overtook c; "" when none did. The first
// one and those that began within that delay do not count.
func (c *oneCase) overtaken(before []*oneCase) string {
	var first *oneCase
	for _, other := range before {
		switch {
		case !c.asked.precedes(other.asked):
		case first == nil:
			first = other
		case other.began().After(first.began().Add(news)):
			return fmt.Sprintf("it was created before %s and %s, but both began earlier, at %s and %s",
				first.asked.Name, other.asked.Name, clock(first.began()), clock(other.began()))
		}
	}
	return ""
}

// precedes reports whether a was certainly created before other: its creation was complete before
// the creation of other was sent, and it has an earlier second. Within one second every order is
// allowed.
func (a Asked) precedes(other Asked) bool {
	return a.Done.Before(other.Began) && a.Created.Before(other.Created)
}
