package check

import (
	"encoding/json"
	"testing"
	"time"
)

// epoch is the creation time of the dispatch in the tests; its run starts a second later and ends
// after two.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

func state(seconds float64, phase, execution, code string) State {
	return State{Time: at(seconds), Phase: phase, Execution: execution, Code: code}
}

func success(seconds float64, output string) State {
	s := state(seconds, "Succeeded", "Finished", "")
	s.Output = json.RawMessage(output)
	return s
}

func started(seconds float64) Mark {
	return Mark{Machine: "pc", UID: "u", Event: Start, Time: at(seconds)}
}

func ended(seconds float64, failure string) Mark {
	m := Mark{Machine: "pc", UID: "u", Event: End, Time: at(seconds), Error: failure}
	if failure == "" {
		m.Output = json.RawMessage(`{"run":"r"}`)
	}
	return m
}

// scenario describes the history of one dispatch.
type scenario struct {
	states []State
	marks  []Mark
	deaths []time.Time
	change func(*Request)
}

func (s scenario) history() History {
	a := Request{UID: "u", Name: "d", Machine: "pc", CreateSent: at(0), CreateDone: at(0.1), Created: at(0), Expiry: time.Minute, Timeout: 30 * time.Second}
	if s.change != nil {
		s.change(&a)
	}
	return History{Requests: []Request{a}, States: map[string][]State{"u": s.states}, Marks: s.marks, Kills: map[string][]time.Time{"pc": s.deaths}}
}

var (
	queued       = state(0.1, "Queued", "", "")
	claimed      = state(0.5, "Dispatched", "", "")
	running      = state(1.5, "Dispatched", "Started", "")
	succeeded    = success(2.1, `{"run": "r"}`) // spaces do not count
	restarted    = state(4, "Failed", "Unknown", "AgentRestarted")
	unstarted    = state(4, "Failed", "NotStarted", "AgentRestarted")
	cancelled    = state(3, "Cancelled", "NotStarted", "Cancelled")
	ran          = []Mark{started(1), ended(2, "")}
	killed       = []time.Time{at(3)}
	cancelling   = func(a *Request) { a.Cancel = at(0.5) }
	failing      = func(a *Request) { a.Fails = true }
	shortExpiry  = func(a *Request) { a.Expiry = 2 * time.Second }
	shortTimeout = func(a *Request) { a.Timeout = time.Second }
)

func TestTrueStoriesAreLeftAlone(t *testing.T) {
	for name, s := range map[string]scenario{
		"every step seen":           {states: []State{queued, claimed, running, succeeded}, marks: ran},
		"only the end seen":         {states: []State{succeeded}, marks: ran},
		"the same seen twice":       {states: []State{queued, queued, succeeded, succeeded}, marks: ran},
		"mediated":                  {states: []State{queued, state(0.2, "AwaitingLocalMediation", "", ""), claimed, succeeded}, marks: ran},
		"killed before it began":    {states: []State{queued, claimed, unstarted}, deaths: killed},
		"killed in the middle":      {states: []State{queued, claimed, restarted}, marks: []Mark{started(1)}, deaths: killed},
		"killed at the end":         {states: []State{queued, claimed, restarted}, marks: ran, deaths: killed},
		"killed, then complete":     {states: []State{queued, state(4, "Cancelled", "Unknown", "Cancelled"), withPhase(success(5, `{"run":"r"}`), "Cancelled")}, marks: ran, deaths: killed, change: cancelling},
		"cancelled unstarted":       {states: []State{queued, cancelled}, change: cancelling},
		"cancelled, never reported": {states: []State{queued, state(3, "Cancelled", "Unknown", "Cancelled")}, change: cancelling},
		"cancelled in the run":      {states: []State{queued, state(3, "Cancelled", "Finished", "Cancelled")}, marks: []Mark{started(1), ended(2, "context canceled")}, change: cancelling},
		"failed as asked":           {states: []State{queued, state(3, "Failed", "Finished", "CapabilityFailed")}, marks: []Mark{started(1), ended(2, "as asked")}, change: failing},
		"expired":                   {states: []State{queued, state(2.1, "TimedOut", "NotStarted", "Expired")}, change: shortExpiry},
		"ran too long":              {states: []State{queued, state(2.1, "TimedOut", "Finished", "Timeout")}, marks: []Mark{started(1), ended(2, "deadline")}, change: shortTimeout},
		"proven unstarted later":    {states: []State{queued, state(3, "Cancelled", "Unknown", "Cancelled"), cancelled}, change: cancelling},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range Check(s.history()) {
				t.Errorf("%s: %s", v.Kind, v.Text)
			}
		})
	}
}

// withPhase returns the state with another terminal phase.
func withPhase(s State, phase string) State {
	s.Phase, s.Code = phase, phase
	return s
}

func TestPlantedViolationsAreFound(t *testing.T) {
	for name, planted := range map[string]struct {
		kind Kind
		scenario
	}{
		"never seen":                       {Lost, scenario{}},
		"still waiting":                    {Lost, scenario{states: []State{queued, claimed}}},
		"ran, and still open":              {Lost, scenario{states: []State{queued, running}, marks: ran}},
		"two runs":                         {RunTwice, scenario{states: []State{queued, succeeded}, marks: append(ran, started(3), ended(4, ""))}},
		"started again after a crash":      {RunTwice, scenario{states: []State{queued, succeeded}, marks: []Mark{started(0.5), started(1), ended(2, "")}, deaths: killed}},
		"on another machine":               {Foreign, scenario{states: []State{queued, succeeded}, marks: onMachine("laptop", ran)}},
		"never requested":                  {Foreign, scenario{states: []State{queued, succeeded}, marks: append(ran, Mark{Machine: "pc", UID: "v", Event: Start, Time: at(1)})}},
		"denied":                           {RanThoughNotStarted, scenario{states: []State{queued, unstarted}, marks: []Mark{started(1)}, deaths: killed}},
		"cancelled, denied":                {RanThoughNotStarted, scenario{states: []State{queued, cancelled}, marks: ran, change: cancelling}},
		"denied, then started":             {RanThoughNotStarted, scenario{states: []State{queued, cancelled}, marks: []Mark{started(5)}, change: cancelling}},
		"denied for a moment":              {RanThoughNotStarted, scenario{states: []State{state(0.2, "Queued", "NotStarted", ""), succeeded}, marks: ran}},
		"rejected, and ran":                {RanThoughNotStarted, scenario{states: []State{queued, state(3, "Rejected", "Unknown", "PolicyUnproven")}, marks: []Mark{started(1)}}},
		"reported started, never started":  {NeverRan, scenario{states: []State{queued, running, unstarted}, deaths: killed}},
		"reported started too early":       {NeverRan, scenario{states: []State{queued, state(0.9, "Dispatched", "Started", ""), succeeded}, marks: ran}},
		"reported finished, never started": {NeverRan, scenario{states: []State{queued, success(2.1, `{"run":"r"}`)}}},
		"finished before the end":          {NeverRan, scenario{states: []State{queued, success(1.5, `{"run":"r"}`)}, marks: ran}},
		"finished without an end":          {NeverRan, scenario{states: []State{queued, state(3, "Cancelled", "Finished", "Cancelled")}, marks: []Mark{started(1)}, change: cancelling}},
		"success with unknown execution":   {WrongOutcome, scenario{states: []State{queued, state(3, "Succeeded", "Unknown", "")}, marks: ran}},
		"success of a failed run":          {WrongOutcome, scenario{states: []State{queued, succeeded}, marks: []Mark{started(1), ended(2, "no")}}},
		"failure of a good run":            {WrongOutcome, scenario{states: []State{queued, state(3, "Failed", "Finished", "CapabilityFailed")}, marks: ran, change: failing}},
		"output of another run":            {WrongOutput, scenario{states: []State{queued, success(3, `{"run":"q"}`)}, marks: ran}},
		"success without output":           {WrongOutput, scenario{states: []State{queued, state(3, "Succeeded", "Finished", "")}, marks: ran}},
		"output before the end":            {WrongOutput, scenario{states: []State{withOutput(claimed), succeeded}, marks: ran}},
		"end forgotten":                    {ResultLost, scenario{states: []State{queued, state(3, "Cancelled", "Unknown", "Cancelled")}, marks: ran, change: cancelling}},
		"end forgotten, killed before":     {ResultLost, scenario{states: []State{queued, restarted}, marks: ran, deaths: []time.Time{at(0.5)}}},
		"no execution at the end":          {Incomplete, scenario{states: []State{queued, state(3, "Cancelled", "", "Cancelled")}, change: cancelling}},
		"over and started":                 {Incomplete, scenario{states: []State{queued, state(4, "Failed", "Started", "AgentRestarted")}, marks: []Mark{started(1)}, deaths: killed}},
		"no reason":                        {Incomplete, scenario{states: []State{queued, state(3, "Cancelled", "NotStarted", "")}, change: cancelling}},
		"back into the queue":              {Backwards, scenario{states: []State{queued, claimed, queued, succeeded}, marks: ran}},
		"execution unset again":            {Backwards, scenario{states: []State{queued, running, claimed, succeeded}, marks: ran}},
		"finished, then unknown":           {Backwards, scenario{states: []State{succeeded, withOutput(state(5, "Succeeded", "Unknown", ""))}, marks: ran}},
		"another end":                      {Rewritten, scenario{states: []State{queued, restarted, succeeded}, marks: ran, deaths: killed}},
		"another reason":                   {Rewritten, scenario{states: []State{queued, cancelled, state(5, "Cancelled", "NotStarted", "Expired")}, change: cancelling}},
		"open again":                       {Rewritten, scenario{states: []State{queued, cancelled, claimed, cancelled}, change: cancelling}},
		"another output":                   {Rewritten, scenario{states: []State{queued, succeeded, success(5, `{"run":"q"}`)}, marks: ran}},
		"output removed":                   {Rewritten, scenario{states: []State{queued, succeeded, state(5, "Succeeded", "Finished", "")}, marks: ran}},
		"never cancelled":                  {NoCause, scenario{states: []State{queued, cancelled}}},
		"cancelled before it was":          {NoCause, scenario{states: []State{queued, cancelled}, change: func(a *Request) { a.Cancel = at(3.5) }}},
		"no restart":                       {NoCause, scenario{states: []State{queued, unstarted}}},
		"restart before it was asked":      {NoCause, scenario{states: []State{queued, unstarted}, deaths: []time.Time{at(-1)}}},
		"not expired":                      {NoCause, scenario{states: []State{queued, state(4, "TimedOut", "NotStarted", "Expired")}}},
		"not timed out":                    {NoCause, scenario{states: []State{queued, state(4, "TimedOut", "Unknown", "Timeout")}, marks: []Mark{started(1)}}},
		"failed by itself":                 {NoCause, scenario{states: []State{queued, state(3, "Failed", "Finished", "CapabilityFailed")}, marks: []Mark{started(1), ended(2, "no")}}},
		"no journal was lost":              {NoCause, scenario{states: []State{queued, state(4, "Failed", "Unknown", "JournalReset")}, deaths: killed}},
		"no queue was full":                {NoCause, scenario{states: []State{queued, state(4, "Rejected", "NotStarted", "QueueFull")}}},
		"began after it expired":           {TooLate, scenario{states: []State{queued, succeeded}, marks: []Mark{started(8), ended(9, "")}, change: shortExpiry}},
	} {
		t.Run(name, func(t *testing.T) {
			var kinds []Kind
			for _, v := range Check(planted.history()) {
				if kinds = append(kinds, v.Kind); v.Kind == planted.kind {
					return
				}
			}
			t.Errorf("found %v, want %s", kinds, planted.kind)
		})
	}
}

func onMachine(machine string, marks []Mark) (moved []Mark) {
	for _, m := range marks {
		m.Machine = machine
		moved = append(moved, m)
	}
	return moved
}

func withOutput(s State) State {
	s.Output = json.RawMessage(`{"run":"r"}`)
	return s
}
