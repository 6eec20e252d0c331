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
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// minFreeBytes is the free space, in bytes, that a growing journal needs.
const minFreeBytes = 64 << 20

// examination is the machine under examination and the findings of the checks so far.
type examination struct {
	Options
	dirUsable       bool // the identity directory can be used
	currentIdentity *store.Identity
	bundle          identity.Bundle
	endpoint        string
	// notBefore and notAfter are the validity of the gateway's certificate.
	notBefore, notAfter time.Time
}

func (p *examination) checkConfiguration() Check {
	if p.ConfigProblem != nil {
		return failedCheck("configuration", p.ConfigProblem.Error(), "correct it, then: mooring-agent config validate")
	}
	return okCheck("configuration", p.Config)
}

func (p *examination) checkDirectory() Check {
	const name = "identity-dir"
	s, err := store.OpenReadOnly(p.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failedCheck(name, p.Dir+" does not exist", "pair this machine: mooring-agent install --pairing HOST:PORT --code CODE")
	case errors.Is(err, fs.ErrPermission):
		return failedCheck(name, err.Error(), "run this as the user of the agent, or as root")
	case err != nil:
		return failedCheck(name, err.Error(), "follow the message, after you made sure that no other user changed the directory")
	}
	defer s.Close()
	p.dirUsable = true
	return okCheck(name, p.Dir+" is the agent's alone")
}

// checkDisk writes and syncs a file, as the store and the journal do.
func (p *examination) checkDisk() Check {
	const name = "disk"
	if !p.dirUsable {
		return skippedCheck(name, "there is no identity directory")
	}
	file, err := os.CreateTemp(filepath.Join(p.Dir), ".new-doctor-")
	if err == nil {
		_, err = file.Write(make([]byte, 4096))
		err = errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return failedCheck(name, err.Error(), "make room, or mount it writable: without that the agent refuses all work")
	}
	usage, err := disk.Usage(p.Dir)
	if err != nil {
		return warningCheck(name, err.Error(), "look at the file system of "+p.Dir)
	}
	found := fmt.Sprintf("%d MiB free", usage.Free>>20)
	if usage.Free < minFreeBytes {
		return warningCheck(name, found, "make room: a journal that cannot grow refuses work")
	}
	return okCheck(name, found)
}

func (p *examination) checkIdentity() Check {
	const name = "identity"
	if !p.dirUsable {
		return skippedCheck(name, "there is no identity directory")
	}
	s, err := store.OpenReadOnly(p.Dir)
	if err != nil {
		return failedCheck(name, err.Error(), "see identity-dir")
	}
	defer s.Close()
	current, err := s.Identity()
	if errors.Is(err, store.ErrNotPaired) {
		return failedCheck(name, err.Error(), "pair it: mooring-agent install --pairing HOST:PORT --code CODE")
	}
	var config store.Config
	if err == nil {
		p.bundle, err = s.Trust()
	}
	if err == nil {
		config, err = s.Config()
	}
	if err != nil {
		return failedCheck(name, err.Error(), "restore the directory from a backup, or pair again with another --identity-dir")
	}
	p.currentIdentity, p.endpoint = &current, config.NodeEndpoint
	until := current.Leaf().NotAfter.UTC()
	found := fmt.Sprintf("node %s/%s, certificate until %s", current.ID.Namespace, current.ID.Node, until.Format(time.RFC3339))
	if p.Now().After(until) {
		return warningCheck(name, found+" (expired)", "start the agent: it recovers the certificate for 30 days; after that, pair again")
	}
	return okCheck(name, found)
}

func (p *examination) checkService(ctx context.Context) Check {
	const name = "service"
	if p.Service == nil {
		return warningCheck(name, fmt.Sprint(p.ServiceProblem), "keep `mooring-agent run` running by other means")
	}
	found, err := p.Service.Status(ctx)
	switch {
	case err != nil:
		return failedCheck(name, err.Error(), "look at the service manager: "+p.Service.Describe())
	case found.State == service.NotInstalled:
		return warningCheck(name, "not installed"+service.OtherScopeHint(), "mooring-agent install, unless the agent runs in the foreground")
	case found.State == service.Running && !found.Ended():
		return okCheck(name, fmt.Sprintf("%s, %s", found.State, p.Service.Describe()))
	default:
		return failedCheck(name, fmt.Sprintf("%s %s", found.State, found.Detail), "mooring-agent logs, then mooring-agent start")
	}
}

func (p *examination) checkAgent(ctx context.Context) Check {
	const name = "agent"
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	report, err := status.FetchReport(ctx, store.RunPath(p.Dir))
	switch {
	case errors.Is(err, local.ErrNoAgent):
		return failedCheck(name, "no agent runs", "mooring-agent start, or mooring-agent run")
	case err != nil:
		return failedCheck(name, err.Error(), "mooring-agent restart")
	case report.Phase == status.Connected:
		return okCheck(name, "connected since "+report.ConnectedSince.Format(time.RFC3339))
	default:
		return failedCheck(name, fmt.Sprintf("%s; %s", report.Phase, report.LastError), nextStepFor(report))
	}
}

// nextStepFor returns the next step for an agent that has no session.
func nextStepFor(report status.Report) string {
	if next := link.ExplainDenial(report.LastErrorReason).NextStep; next != "" {
		return next
	}
	return "follow the failed checks; if no other check failed, ask the operator of the gateway"
}
