package check

import (
	"fmt"
	"slices"
	"time"
)

// phaseSteps lists the phases that a watch may deliver after each phase. A watch may miss
// intermediate states.
var phaseSteps = map[string][]string{
	"Queued":                 {"Dispatched", "AwaitingLocalMediation", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"},
	"Dispatched":             {"AwaitingLocalMediation", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"},
	"AwaitingLocalMediation": {"Dispatched", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"},
}

// executionSteps lists the same for the execution: a proven value must not change back.
var executionSteps = map[string][]string{
	"":        {"NotStarted", "Started", "Finished", "Unknown"},
	"Started": {"Finished", "Unknown"},
	"Unknown": {"Finished", "NotStarted"},
}

func checkSteps(c *dispatchCase) (found []string) {
	before := State{Phase: "Queued"} // the state at creation
	for _, s := range c.states {
		if s.Phase != before.Phase && !terminal(before.Phase) && !slices.Contains(phaseSteps[before.Phase], s.Phase) {
			found = append(found, fmt.Sprintf("its phase went from %s to %s", before.Phase, s.Phase))
		}
		// A watch may have missed Started between unset and Unknown, and between these and their
		// successors.
		if s.Execution != before.Execution && !slices.Contains(executionSteps[before.Execution], s.Execution) {
			found = append(found, fmt.Sprintf("its execution went from %q to %q", before.Execution, s.Execution))
		}
		before = s
	}
	return found
}

// checkFinal finds changes of final values: the phase and the reason of an end, and an output.
func checkFinal(c *dispatchCase) (found []string) {
	for i := 1; i < len(c.states); i++ {
		before, s := c.states[i-1], c.states[i]
		if terminal(before.Phase) && (s.Phase != before.Phase || s.Code != before.Code) {
			found = append(found, fmt.Sprintf("its end went from %s %s to %s %s", before.Phase, before.Code, s.Phase, s.Code))
		}
		if len(before.Output) > 0 && !sameJSON(before.Output, s.Output) {
			found = append(found, fmt.Sprintf("its output went from %s to %s", before.Output, s.Output))
		}
	}
	return found
}

// checkCause compares the reason of a failed end with the events that are known to have happened.
func checkCause(c *dispatchCase) []string {
	for _, s := range c.states {
		if terminal(s.Phase) && s.Phase != "Succeeded" {
			if why := c.contradiction(s); why != "" {
				return []string{fmt.Sprintf("it is %s, %s, %s, but %s", s.Phase, s.Execution, s.Code, why)}
			}
		}
	}
	return nil
}

// contradiction returns why the reason of a failed end is impossible; "" when it is possible.
func (c *dispatchCase) contradiction(s State) string {
	a, reason := c.request, s.Phase+" "+s.Code
	switch reason {
	case "Failed CapabilityFailed":
		return reasonUnless(a.Fails, "the run was not asked to fail")
	case "Cancelled Cancelled":
		return reasonUnless(seenAfter(s, a.Cancel), "it had not been cancelled")
	case "TimedOut Expired":
		return reasonUnless(s.Time.After(a.Created.Add(a.Expiry).Add(-clockTolerance)), "it had not expired")
	case "TimedOut Timeout":
		return reasonUnless(c.timedOut(s), "its run time was not exceeded")
	case "Failed AgentRestarted":
		return reasonUnless(c.agentKilledBetween(a.CreateSent, s.Time), "its agent was not restarted")
	case "Rejected NodeRevoked", "Failed NodeRevoked":
		return reasonUnless(seenAfter(s, a.Revoked), "its Node had not been revoked")
	case "Rejected NodeDeleted", "Failed NodeDeleted":
		return reasonUnless(seenAfter(s, a.Deleted), "its Node had not been deleted")
	case "Failed JournalReset":
		return reasonUnless(seenAfter(s, a.Restored), "its journal was never lost")
	case "Rejected PolicyUnproven", "Failed PolicyUnproven":
		return "" // this package does not know whether the policies were proven
	}
	return "no event explains this reason"
}

// timedOut reports whether the run time can have been exceeded when the state was seen.
func (c *dispatchCase) timedOut(s State) bool {
	from := c.request.CreateSent
	if len(c.starts) > 0 {
		from = c.starts[0].Time
	}
	return s.Time.After(from.Add(c.request.Timeout).Add(-time.Second))
}

// seenAfter reports whether the state was seen after the event; false when the event did not happen.
func seenAfter(s State, happened time.Time) bool {
	return !happened.IsZero() && !s.Time.Before(happened)
}

func reasonUnless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}
