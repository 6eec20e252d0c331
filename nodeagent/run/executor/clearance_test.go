package executor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

func TestAYesWaitsForTheGateway(t *testing.T) {
	ref := journal.Ref{UID: "u"}
	for name, c := range map[string]struct {
		during func(*testing.T, *testExecutor, *mediation.ApprovalQueue)
		runs   int
		want   string
	}{
		"cleared": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			answerQuestion(t, d, true)
			b.SetStage(ref, StageStart)
		}, 1, "Succeeded/"},
		"never cleared": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			answerQuestion(t, d, true)
			time.Sleep(2 * time.Hour)
		}, 0, "TimedOut/Expired"},
		"cleared before the yes": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.SetStage(ref, StageStart)
			answerQuestion(t, d, true)
			time.Sleep(2 * time.Hour)
		}, 0, "TimedOut/Expired"},
		"cancelled after the yes": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			answerQuestion(t, d, true)
			b.Cancel(ref)
		}, 0, "Cancelled/Cancelled"},
		"no session when the yes comes, cleared in the next one": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.Detach()
			answerQuestion(t, d, true)
			time.Sleep(10 * time.Minute)
			b.AttachWithClearances(b.sink)
			synctest.Wait()
			if entry, _, _ := b.Journal.Lookup("u"); entry.State != journal.Accepted {
				t.Errorf("it is %s before the gateway cleared it", entry.State)
			}
			b.SetStage(ref, StageStart)
		}, 1, "Succeeded/"},
		"the next session is of an older gateway": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.Detach()
			answerQuestion(t, d, true)
			b.Attach(b.sink)
		}, 1, "Succeeded/"},
		"held while asked, then asked again": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.SetStage(ref, StageHold)
			time.Sleep(20 * time.Minute) // longer than the time for an answer
			if open, _ := d.Questions(); len(open) != 0 {
				t.Errorf("%d questions are shown while it is held", len(open))
			}
			b.SetStage(ref, StageAsk)
			synctest.Wait()
			if open, _ := d.Questions(); len(open) != 1 || time.Until(open[0].Until) < 4*time.Minute {
				t.Errorf("asked again: %+v", open)
			}
			answerQuestion(t, d, true)
			b.SetStage(ref, StageStart)
		}, 1, "Succeeded/"},
		"held after the yes": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			answerQuestion(t, d, true)
			b.SetStage(ref, StageHold)
			time.Sleep(time.Minute)
			b.SetStage(ref, StageAsk)
			time.Sleep(time.Minute)
			b.SetStage(ref, StageStart)
		}, 1, "Succeeded/"},
		"held until it expires": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.SetStage(ref, StageHold)
			time.Sleep(2 * time.Hour)
		}, 0, "TimedOut/Expired"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				b := newTestExecutor(t, 1, mediatedCapability(&runs))
				queue := attachPerson(b)
				b.AttachWithClearances(b.sink)
				b.Offer(b.offer("u", "c"))
				synctest.Wait()
				c.during(t, b, queue)
				b.runs.Wait()
				b.AttachWithClearances(b.sink)
				entry, _, err := b.Journal.Lookup("u")
				if err != nil || entry.Outcome == nil {
					t.Fatalf("no outcome: %+v, %v", entry, err)
				}
				if o := entry.Outcome; runs != c.runs || string(o.Result)+"/"+o.ErrorCode != c.want || (c.runs == 0 && o.Execution != journal.NotStarted) {
					t.Errorf("ran %d times, %s/%s/%s, want %d times, %s", runs, o.Result, o.ErrorCode, o.Execution, c.runs, c.want)
				}
			})
		})
	}
}
