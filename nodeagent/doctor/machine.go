package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/local"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/status"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// leastFree is the free space, in bytes, that a growing journal needs.
const leastFree = 64 << 20

// patient is the machine under examination and the findings of the checks so far.
type patient struct {
	Options
	usable   bool // the identity directory can be used
	current  *store.Identity
	bundle   identity.Bundle
	endpoint string
	// from and until are the validity of the gateway's certificate.
	from, until time.Time
}

func (p *patient) configuration() Check {
	if p.ConfigProblem != nil {
		return bad("configuration", p.ConfigProblem.Error(), "correct it, then: mooring-agent config validate")
	}
	return good("configuration", p.Config)
}

func (p *patient) directory() Check {
	const name = "identity-dir"
	s, err := store.Peek(p.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad(name, p.Dir+" does not exist", "pair this machine: mooring-agent install --pairing HOST:PORT --code CODE")
	case errors.Is(err, fs.ErrPermission):
		return bad(name, err.Error(), "run this as the user of the agent, or as root")
	case err != nil:
		return bad(name, err.Error(), "follow the message, after you made sure that no other user changed the directory")
	}
	defer s.Close()
	p.usable = true
	return good(name, p.Dir+" is the agent's alone")
}

// disk writes and syncs a file, as the store and the journal do.
func (p *patient) disk() Check {
	const name = "disk"
	if !p.usable {
		return skipped(name, "there is no identity directory")
	}
	file, err := os.CreateTemp(filepath.Join(p.Dir), ".new-doctor-")
	if err == nil {
		_, err = file.Write(make([]byte, 4096))
		err = errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return bad(name, err.Error(), "make room, or mount it writable: without that the agent refuses all work")
	}
	usage, err := disk.Usage(p.Dir)
	if err != nil {
		return warn(name, err.Error(), "look at the file system of "+p.Dir)
	}
	found := fmt.Sprintf("%d MiB free", usage.Free>>20)
	if usage.Free < leastFree {
		return warn(name, found, "make room: a journal that cannot grow refuses work")
	}
	return good(name, found)
}

func (p *patient) identity() Check {
	const name = "identity"
	if !p.usable {
		return skipped(name, "there is no identity directory")
	}
	s, err := store.Peek(p.Dir)
	if err != nil {
		return bad(name, err.Error(), "see identity-dir")
	}
	defer s.Close()
	current, err := s.Identity()
	if errors.Is(err, store.ErrNotPaired) {
		return bad(name, err.Error(), "pair it: mooring-agent install --pairing HOST:PORT --code CODE")
	}
	var config store.Config
	if err == nil {
		p.bundle, err = s.Trust()
	}
	if err == nil {
		config, err = s.Config()
	}
	if err != nil {
		return bad(name, err.Error(), "restore the directory from a backup, or pair again with another --identity-dir")
	}
	p.current, p.endpoint = &current, config.NodeEndpoint
	until := current.Leaf().NotAfter.UTC()
	found := fmt.Sprintf("node %s/%s, certificate until %s", current.ID.Namespace, current.ID.Node, until.Format(time.RFC3339))
	if p.Now().After(until) {
		return warn(name, found+" (expired)", "start the agent: it recovers the certificate for 30 days; after that, pair again")
	}
	return good(name, found)
}

func (p *patient) service(ctx context.Context) Check {
	const name = "service"
	if p.Service == nil {
		return warn(name, fmt.Sprint(p.ServiceProblem), "keep `mooring-agent run` running by other means")
	}
	found, err := p.Service.Status(ctx)
	switch {
	case err != nil:
		return bad(name, err.Error(), "look at the service manager: "+p.Service.Describe())
	case found.State == service.NotInstalled:
		return warn(name, "not installed"+service.Elsewhere(), "mooring-agent install, unless the agent runs in the foreground")
	case found.State == service.Running && !found.Ended():
		return good(name, fmt.Sprintf("%s, %s", found.State, p.Service.Describe()))
	default:
		return bad(name, fmt.Sprintf("%s %s", found.State, found.Detail), "mooring-agent logs, then mooring-agent start")
	}
}

func (p *patient) agent(ctx context.Context) Check {
	const name = "agent"
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report, err := status.Ask(ctx, store.RunPath(p.Dir))
	switch {
	case errors.Is(err, local.ErrNoAgent):
		return bad(name, "no agent runs", "mooring-agent start, or mooring-agent run")
	case err != nil:
		return bad(name, err.Error(), "mooring-agent restart")
	case report.Phase == status.Connected:
		return good(name, "connected since "+report.ConnectedSince.Format(time.RFC3339))
	default:
		return bad(name, fmt.Sprintf("%s; %s", report.Phase, report.LastError), "follow the failed checks; if no other check failed, ask the operator of the gateway")
	}
}
