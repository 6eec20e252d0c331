package check

import (
	"fmt"
	"slices"
	"time"
)

// phaseSteps are the steps a phase may take in one look of a watch, which may miss some on the way.
var phaseSteps = map[string][]string{
	"Queued":                 {"Dispatched", "AwaitingLocalMediation", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"},
	"Dispatched":             {"AwaitingLocalMediation", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"},
	"AwaitingLocalMediation": {"Dispatched", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"},
}

// executionSteps are those of execution: what is proven stays proven.
var executionSteps = map[string][]string{
	"":        {"NotStarted", "Started", "Finished", "Unknown"},
	"Started": {"Finished", "Unknown"},
	"Unknown": {"Finished", "NotStarted"},
}

func backwards(c *oneCase) (found []string) {
	before := State{Phase: "Queued"} // as it is created
	for _, s := range c.states {
		if s.Phase != before.Phase && !terminal(before.Phase) && !slices.Contains(phaseSteps[before.Phase], s.Phase) {
			found = append(found, fmt.Sprintf("its phase went from %s to %s", before.Phase, s.Phase))
		}
		// Started may have been between unset and Unknown, and between those and what follows them.
		if s.Execution != before.Execution && !slices.Contains(executionSteps[before.Execution], s.Execution) {
			found = append(found, fmt.Sprintf("its execution went from %q to %q", before.Execution, s.Execution))
		}
		before = s
	}
	return found
}

// rewritten finds changes of what is final: the phase and the reason of an end, and an output.
func rewritten(c *oneCase) (found []string) {
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

// noCause compares the reason of a bad end with what is known to have happened.
func noCause(c *oneCase) []string {
	for _, s := range c.states {
		if terminal(s.Phase) && s.Phase != "Succeeded" {
			if why := c.disbelieve(s); why != "" {
				return []string{fmt.Sprintf("it is %s, %s, %s, but %s", s.Phase, s.Execution, s.Code, why)}
			}
		}
	}
	return nil
}

// disbelieve says why the reason of a bad end cannot be; empty when it can.
func (c *oneCase) disbelieve(s State) string {
	a, reason := c.asked, s.Phase+" "+s.Code
	switch reason {
	case "Failed CapabilityFailed":
		return unless(a.Fails, "the run was not asked to fail")
	case "Cancelled Cancelled":
		return unless(since(s, a.Cancel), "nobody had cancelled it")
	case "TimedOut Expired":
		return unless(s.Time.After(a.Created.Add(a.Expiry).Add(-roundings)), "it had not expired")
	case "TimedOut Timeout":
		return unless(c.overran(s), "its run time was not over")
	case "Failed AgentRestarted":
		return unless(c.died(a.Began, s.Time), "its agent was not restarted")
	case "Rejected NodeRevoked", "Failed NodeRevoked":
		return unless(since(s, a.Revoked), "its Node had not been revoked")
	case "Rejected NodeDeleted", "Failed NodeDeleted":
		return unless(since(s, a.Deleted), "its Node had not been deleted")
	case "Failed JournalReset":
		return unless(since(s, a.Restored), "its journal was never lost")
	case "Rejected PolicyUnproven", "Failed PolicyUnproven":
		return "" // whether the policies were proven is out of sight from here
	}
	return "nothing of the kind happened"
}

// overran tells whether the run time can have been over when the state was seen.
func (c *oneCase) overran(s State) bool {
	from := c.asked.Began
	if len(c.starts) > 0 {
		from = c.starts[0].Time
	}
	return s.Time.After(from.Add(c.asked.Timeout).Add(-time.Second))
}

// since tells whether the state was seen after something happened; never if that is zero.
func since(s State, happened time.Time) bool { return !happened.IsZero() && !s.Time.Before(happened) }

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}
