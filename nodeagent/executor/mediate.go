package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/mediation"
)

// mediate asks the local policy; an outcome means that there will be no run. It holds no
// slot: a person may think for a while.
func (x *Executor) mediate(r *run, c *capability.Entry) *journal.Outcome {
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.Expires.Sub(x.Now()), errExpired)
	defer cancel()
	steps := &record{x: x, r: r}
	err := x.Policy.Decide(ctx, mediation.Question{
		Namespace: r.Dispatch.Namespace, Name: r.Dispatch.Name, UID: r.Dispatch.UID,
		Capability: r.Capability, Description: c.Description(), Target: r.target, RequestedBy: r.RequestedBy,
		Until: r.Expires, Needed: c.Mediation() == capability.Local,
	}, steps)
	denied := (*mediation.Denied)(nil)
	switch {
	case err == nil:
		if steps.asked {
			x.tell(func(s Sink) { s.Allowed(r.Dispatch) })
		}
		return nil
	case errors.As(err, &denied):
		return x.unstarted(journal.Rejected, denied.Code, denied.Message)
	case errors.Is(context.Cause(ctx), errExpired):
		return x.expired()
	case ctx.Err() != nil:
		return x.interrupted(ctx)
	default:
		x.Log.Error("local mediation failed; it is not run", "dispatch", r.Dispatch.UID, "error", err)
		return x.unstarted(journal.Failed, codeInternal, "local mediation is not possible now")
	}
}

// record journals the steps of a mediation. The person's answer is not held up by a slow
// session: mediate tells it.
type record struct {
	x     *Executor
	r     *run
	asked bool
}

func (m *record) Asked(user string, since time.Time) error {
	if err := m.x.Journal.Ask(m.r.Dispatch.UID, journal.Mediation{AskedUser: user, Since: since}); err != nil {
		return err
	}
	m.asked = true
	m.x.tell(func(s Sink) { s.Asked(m.r.Dispatch, user, since) })
	return nil
}

func (m *record) Answered(allowed bool, by string) error {
	answer := journal.Unanswered
	switch {
	case allowed:
		answer = journal.Allowed
	case by != "":
		answer = journal.Denied
	}
	return m.x.Journal.Answer(m.r.Dispatch.UID, answer, by, m.x.Now())
}
