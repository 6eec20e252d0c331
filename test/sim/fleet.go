// Package sim runs many real agents: with real mTLS, the real protocol and a real journal each,
// from addresses of 127.0.0.0/8. A Fleet runs the agents of one process, a MultiFleet several such
// processes. Both are bounded in number and time and remove everything that they created.
package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// MaxAgents bounds a Fleet: an agent holds up to seven files and a process may hold 20,000.
const MaxAgents = 2800

// maxAddressBlocks is how many Fleets may run at the same time: each has its own second byte of
// 127.0.0.0/8.
const maxAddressBlocks = 200

// perSource is the number of agents that share a source address, well below the gateway's cap.
const perSource = 250

// cleanupTimeout bounds Close.
const cleanupTimeout = 2 * time.Minute

// Options configures a Fleet.
type Options struct {
	// Client must have an administrator's rights and know the kinds of Mooring and cert-manager.
	Client client.WithWatch
	// Dir is the parent of the identity directories; it must exist. On a memory file system the
	// journals cause no disk load.
	Dir string
	// PairingEndpoint is HOST:PORT of a gateway. NodeEndpoint is HOST:PORT too, or a list of them
	// for several gateways, separated by commas.
	PairingEndpoint, NodeEndpoint string
	// TrustDomain is the trust domain of the identities; default mooring.local.
	TrustDomain string
	// Configure changes the options of an agent when the agent is created; nil changes nothing.
	Configure func(*nodeagent.Options)
	// Extra are capabilities in addition to the built-in ones.
	Extra []capability.Capability
	// AddressBlock separates Fleets that run at the same time; it is below 200. Each block has its own
	// source addresses.
	AddressBlock int
	// SignLocally signs certificates in this process, with the key of the device CA, which an
	// administrator may read. cert-manager would sign the certificates of many idle agents one by
	// one.
	SignLocally bool
	// Faults are the faults of the agents and their network.
	Faults Faults
}

// Fleet holds a namespace with its agents.
type Fleet struct {
	Options
	Namespace string

	agentCtx      context.Context // the context of the agents, until Close
	cancel        context.CancelFunc
	signer        signer
	faultCounters faultCounters

	mu     sync.Mutex
	agents []*Agent
}

// New creates the namespace of a Fleet without agents. The caller must call Close.
func New(ctx context.Context, o Options) (*Fleet, error) {
	if o.TrustDomain == "" {
		o.TrustDomain = "mooring.local"
	}
	if o.AddressBlock < 0 || o.AddressBlock >= maxAddressBlocks {
		return nil, fmt.Errorf("place %d: give 0 to %d", o.AddressBlock, maxAddressBlocks-1)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "sim-" + rand.String(6)}}
	if err := o.Client.Create(ctx, namespace); err != nil {
		return nil, fmt.Errorf("make the namespace of the simulated machines: %w", err)
	}
	f := &Fleet{Options: o, Namespace: namespace.Name}
	f.signer = f.signWithCertManager
	f.agentCtx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return f, nil
}

// newAgent returns an agent with a name and a source address; it does not start it.
func (f *Fleet) newAgent() (*Agent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := AgentName(len(f.agents))
	if len(f.agents) >= MaxAgents {
		return nil, fmt.Errorf("%d agents are the most one process holds", MaxAgents)
	}
	place := len(f.agents) / perSource
	a := &Agent{Name: name, Source: fmt.Sprintf("127.%d.%d.%d", 1+f.AddressBlock, place/200, place%200+1), fleet: f, connections: map[*trackedConn]struct{}{},
		options: nodeagent.Options{Dir: filepath.Join(f.Dir, f.Namespace+"-"+name), NodeName: name, Extra: f.Extra}}
	if f.Configure != nil {
		f.Configure(&a.options)
	}
	f.agents = append(f.agents, a)
	return a, nil
}

// AgentName returns the name of the nth Node of a Fleet, from 0.
func AgentName(n int) string { return fmt.Sprintf("sim-%05d", n) }

// Agents returns all agents, in the order of their creation.
func (f *Fleet) Agents() []*Agent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Agent(nil), f.agents...)
}

// Start starts the agents that do not run yet, perSecond of them per second.
func (f *Fleet) Start(ctx context.Context, perSecond float64) error {
	tick := time.NewTicker(time.Duration(float64(time.Second) / max(perSecond, 0.1)))
	defer tick.Stop()
	for _, a := range f.Agents() {
		if a.started() {
			continue
		}
		select {
		case <-tick.C:
			a.start(f.agentCtx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Online returns the number of agents with a session.
func (f *Fleet) Online() (n int) {
	for _, a := range f.Agents() {
		if a.Online() {
			n++
		}
	}
	return n
}

// AwaitOnline waits until want agents have a session.
func (f *Fleet) AwaitOnline(ctx context.Context, want int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for f.Online() < want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d agents are online: %w", f.Online(), want, errors.Join(ctx.Err(), f.firstError()))
		}
	}
	return nil
}

// firstError returns the error or end reason of one of the agents that are not online.
func (f *Fleet) firstError() error {
	for _, a := range f.Agents() {
		a.mu.Lock()
		err, reason, online := a.err, a.endReason, a.online
		a.mu.Unlock()
		if err != nil {
			return fmt.Errorf("agent %s ended: %w", a.Name, err)
		}
		if !online && reason != "" {
			return fmt.Errorf("agent %s: %s", a.Name, reason)
		}
	}
	return nil
}

// Storm breaks every connection at the same moment.
func (f *Fleet) Storm() {
	var group sync.WaitGroup
	for _, a := range f.Agents() {
		group.Go(a.Cut)
	}
	group.Wait()
}

// Close stops the agents and removes their Nodes, namespace and directories.
func (f *Fleet) Close() error {
	f.cancel()
	var problems []error
	for _, a := range f.Agents() {
		a.stop()
		problems = append(problems, os.RemoveAll(a.options.Dir))
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.Namespace}}
	if err := client.IgnoreNotFound(f.Client.Delete(ctx, namespace)); err != nil {
		problems = append(problems, fmt.Errorf("delete the namespace of the simulated machines: %w", err))
	}
	return errors.Join(problems...)
}
