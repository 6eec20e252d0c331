package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// roundings is by how much clocks that are kept in whole seconds may differ, and what a slow disk
	// adds between the last look at a clock and the mark of a run.
	roundings = 5 * time.Second
	// noting is how long after the end of a run its agent may take to have it on disk.
	noting = 15 * time.Second
)

// rules are the promises, each with what it finds in the case of one dispatch.
var rules = []struct {
	kind Kind
	find func(*oneCase) []string
}{
	{Lost, lost}, {RunTwice, runTwice}, {RanAfterAll, ranAfterAll}, {NeverRan, neverRan},
	{WrongOutcome, wrongOutcome}, {WrongOutput, wrongOutput}, {ResultLost, resultLost}, {Unsaid, unsaid},
	{Backwards, backwards}, {Rewritten, rewritten}, {NoCause, noCause}, {TooLate, tooLate},
}

func lost(c *oneCase) []string {
	switch last := c.last(); {
	case len(c.states) == 0:
		return []string{"it was never seen"}
	case !terminal(last.Phase):
		return []string{fmt.Sprintf("it is %s in the end", last.Phase)}
	}
	return nil
}

func runTwice(c *oneCase) []string {
	if n := len(c.starts); n > 1 {
		return []string{fmt.Sprintf("%d runs began", n)}
	}
	return nil
}

func ranAfterAll(c *oneCase) (found []string) {
	if len(c.starts) == 0 {
		return nil
	}
	for _, s := range c.states {
		if s.Execution == "NotStarted" || s.Phase == "Rejected" {
			return []string{fmt.Sprintf("it was called %s, %s at %s, and a run began at %s", s.Phase, s.Execution, clock(s.Time), clock(c.starts[0].Time))}
		}
	}
	return nil
}

func neverRan(c *oneCase) (found []string) {
	for _, s := range c.states {
		switch {
		case s.Execution == "Started" && !by(c.starts, s.Time):
			return []string{fmt.Sprintf("it was called Started at %s, when no run had begun", clock(s.Time))}
		case s.Execution == "Finished" && (!by(c.starts, s.Time) || !by(c.ends, s.Time)):
			return []string{fmt.Sprintf("it was called Finished at %s, when no run had ended", clock(s.Time))}
		}
	}
	return nil
}

func wrongOutcome(c *oneCase) (found []string) {
	last := c.last()
	if last.Phase == "Succeeded" && last.Execution != "Finished" {
		found = append(found, "it is Succeeded and "+last.Execution)
	}
	if len(c.ends) == 0 {
		return found // without an end it is not Finished, which is another rule
	}
	switch end := c.ends[0]; {
	case last.Phase == "Succeeded" && end.Error != "":
		found = append(found, "it is Succeeded, and the run returned an error: "+end.Error)
	case last.Code == "CapabilityFailed" && end.Error == "":
		found = append(found, "it is called CapabilityFailed, and the run returned no error")
	}
	return found
}

func wrongOutput(c *oneCase) (found []string) {
	for _, s := range c.states {
		if len(s.Output) == 0 {
			if s.Phase == "Succeeded" {
				return []string{"it is Succeeded without the output of the run"}
			}
			continue
		}
		if s.Execution != "Finished" {
			return []string{"it has an output and is " + s.Execution}
		}
		if len(c.ends) == 0 || !sameJSON(s.Output, c.ends[0].Output) {
			return []string{fmt.Sprintf("its output is %s, which the run did not return", s.Output)}
		}
	}
	return nil
}

// resultLost finds runs that ended while their agent went on living.
func resultLost(c *oneCase) []string {
	last := c.last()
	if len(c.ends) == 0 || !terminal(last.Phase) || last.Execution == "Finished" {
		return nil
	}
	if ended := c.ends[0].Time; !c.died(ended, ended.Add(noting)) {
		return []string{fmt.Sprintf("the run ended at %s and its agent lived on, and it is %s, %s in the end", clock(ended), last.Phase, last.Execution)}
	}
	return nil
}

func unsaid(c *oneCase) []string {
	for _, s := range c.states {
		if !terminal(s.Phase) {
			continue
		}
		if s.Execution == "" || s.Execution == "Started" {
			return []string{fmt.Sprintf("it is %s and its execution is %q", s.Phase, s.Execution)}
		}
		if s.Phase != "Succeeded" && s.Code == "" {
			return []string{"it is " + s.Phase + " without a reason"}
		}
	}
	return nil
}

func tooLate(c *oneCase) []string {
	if len(c.starts) == 0 {
		return nil
	}
	expired := c.asked.Created.Add(c.asked.Expiry)
	if began := c.starts[0].Time; began.After(expired.Add(roundings)) {
		return []string{fmt.Sprintf("it expired at %s and began at %s", clock(expired), clock(began))}
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
