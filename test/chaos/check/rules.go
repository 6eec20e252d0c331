package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// clockTolerance is the tolerated difference of clocks in whole seconds. It includes the delay of a
	// slow disk between the last reading of a clock and the mark of a run.
	clockTolerance = 5 * time.Second
	// journalDelay is the time that an agent has to store the end of a run on disk.
	journalDelay = 15 * time.Second
)

// rules lists the promises, each with a function that returns the violations of one dispatch.
var rules = []struct {
	kind Kind
	find func(*dispatchCase) []string
}{
	{Lost, checkLost}, {RunTwice, checkRunTwice}, {RanThoughNotStarted, checkNotStarted}, {NeverRan, checkStarted},
	{WrongOutcome, checkOutcome}, {WrongOutput, checkOutput}, {ResultLost, checkResultLost}, {Incomplete, checkComplete},
	{Backwards, checkSteps}, {Rewritten, checkFinal}, {NoCause, checkCause}, {TooLate, checkExpiry},
}

func checkLost(c *dispatchCase) []string {
	switch last := c.lastState(); {
	case len(c.states) == 0:
		return []string{"it was never seen"}
	case !terminal(last.Phase):
		return []string{fmt.Sprintf("its last phase is %s", last.Phase)}
	}
	return nil
}

func checkRunTwice(c *dispatchCase) []string {
	if n := len(c.starts); n > 1 {
		return []string{fmt.Sprintf("%d runs began", n)}
	}
	return nil
}

func checkNotStarted(c *dispatchCase) (found []string) {
	if len(c.starts) == 0 {
		return nil
	}
	for _, s := range c.states {
		if s.Execution == "NotStarted" || s.Phase == "Rejected" {
			return []string{fmt.Sprintf("it was reported %s, %s at %s, and a run began at %s", s.Phase, s.Execution, formatTime(s.Time), formatTime(c.starts[0].Time))}
		}
	}
	return nil
}

func checkStarted(c *dispatchCase) (found []string) {
	for _, s := range c.states {
		switch {
		case s.Execution == "Started" && !markedUntil(c.starts, s.Time):
			return []string{fmt.Sprintf("it was reported Started at %s, before a run began", formatTime(s.Time))}
		case s.Execution == "Finished" && (!markedUntil(c.starts, s.Time) || !markedUntil(c.ends, s.Time)):
			return []string{fmt.Sprintf("it was reported Finished at %s, before a run ended", formatTime(s.Time))}
		}
	}
	return nil
}

func checkOutcome(c *dispatchCase) (found []string) {
	last := c.lastState()
	if last.Phase == "Succeeded" && last.Execution != "Finished" {
		found = append(found, "it is Succeeded and "+last.Execution)
	}
	if len(c.ends) == 0 {
		return found // a missing end is found by checkStarted
	}
	switch end := c.ends[0]; {
	case last.Phase == "Succeeded" && end.Error != "":
		found = append(found, "it is Succeeded, and the run returned an error: "+end.Error)
	case last.Code == "CapabilityFailed" && end.Error == "":
		found = append(found, "its reason is CapabilityFailed, and the run returned no error")
	}
	return found
}

func checkOutput(c *dispatchCase) (found []string) {
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

// checkResultLost finds runs that ended although their agent lived on, and whose end was not reported.
func checkResultLost(c *dispatchCase) []string {
	last := c.lastState()
	if len(c.ends) == 0 || !terminal(last.Phase) || last.Execution == "Finished" {
		return nil
	}
	if ended := c.ends[0].Time; !c.agentKilledBetween(ended, ended.Add(journalDelay)) {
		return []string{fmt.Sprintf("the run ended at %s and its agent kept running, but the last status is %s, %s", formatTime(ended), last.Phase, last.Execution)}
	}
	return nil
}

func checkComplete(c *dispatchCase) []string {
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

func checkExpiry(c *dispatchCase) []string {
	if len(c.starts) == 0 {
		return nil
	}
	expired := c.request.Created.Add(c.request.Expiry)
	if began := c.starts[0].Time; began.After(expired.Add(clockTolerance)) {
		return []string{fmt.Sprintf("it expired at %s and began at %s", formatTime(expired), formatTime(began))}
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func formatTime(t time.Time) string { return t.UTC().Format("15:04:05.000") }
