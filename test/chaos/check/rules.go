package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// roundings is the tolerated difference of clocks in whole seconds. It includes the delay of a
	// slow disk between the last reading of a clock and the mark of a run.
	roundings = 5 * time.Second
	// noting is the time that an agent has to store the end of a run on disk.
	noting = 15 * time.Second
)

// rules lists the promises, each with a function that returns the violations of one dispatch.
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
		return []string{fmt.Sprintf("its last phase is %s", last.Phase)}
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
			return []string{fmt.Sprintf("it was reported %s, %s at %s, and a run began at %s", s.Phase, s.Execution, clock(s.Time), clock(c.starts[0].Time))}
		}
	}
	return nil
}

func neverRan(c *oneCase) (found []string) {
	for _, s := range c.states {
		switch {
		case s.Execution == "Started" && !by(c.starts, s.Time):
			return []string{fmt.Sprintf("it was reported Started at %s, before a run began", clock(s.Time))}
		case s.Execution == "Finished" && (!by(c.starts, s.Time) || !by(c.ends, s.Time)):
			return []string{fmt.Sprintf("it was reported Finished at %s, before a run ended", clock(s.Time))}
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
		return found // a missing end is found by neverRan
	}
	switch end := c.ends[0]; {
	case last.Phase == "Succeeded" && end.Error != "":
		found = append(found, "it is Succeeded, and the run returned an error: "+end.Error)
	case last.Code == "CapabilityFailed" && end.Error == "":
		found = append(found, "its reason is CapabilityFailed, and the run returned no error")
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

// resultLost finds runs that ended although their agent lived on, and whose end was not reported.
func resultLost(c *oneCase) []string {
	last := c.last()
	if len(c.ends) == 0 || !terminal(last.Phase) || last.Execution == "Finished" {
		return nil
	}
	if ended := c.ends[0].Time; !c.died(ended, ended.Add(noting)) {
		return []string{fmt.Sprintf("the run ended at %s and its agent kept running, but the last status is %s, %s", clock(ended), last.Phase, last.Execution)}
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
