package stack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// binary returns the path of a built program.
func (s *Stack) binary(name string) string {
	return filepath.Join(controlplane.BinaryFolder(s.Root), name)
}

// StartController starts the controller, or starts it again after it ended.
func (s *Stack) StartController() error {
	kubeconfig, err := s.accountKubeconfig("mooring-controller")
	if err != nil {
		return err
	}
	probes, err := FreeAddresses(1)
	if err != nil {
		return err
	}
	args := append([]string{
		s.binary("manager"), "--role=controller", "--kubeconfig", kubeconfig,
		"--advertise-pairing-endpoint", s.PairingEndpoint,
		"--metrics-bind-address", "0", "--health-probe-bind-address", probes[0],
	}, s.ControllerArgs...)
	p, err := StartProcess("controller", s.Dir, nil, args...)
	if err != nil {
		return err
	}
	p.probes = probes[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Controller = p
	return nil
}

// StartGateway starts replica i on its addresses, or starts it again after it ended.
func (s *Stack) StartGateway(i int) error { return s.startReplica(s.Gateways[i], s.NodeEndpoints()) }

// NodeEndpoints returns the node listeners of all gateways, in the form in which machines receive
// them.
func (s *Stack) NodeEndpoints() string {
	var all []string
	for _, g := range s.Gateways {
		all = append(all, g.NodeAddress)
	}
	return strings.Join(all, ",")
}

func (s *Stack) startReplica(g *Gateway, advertised string, more ...string) error {
	return s.startReplicaIn(nil, g, advertised, more)
}

func (s *Stack) startReplicaIn(wrapper []string, g *Gateway, advertised string, more []string) error {
	kubeconfig, err := s.accountKubeconfig("mooring-gateway")
	if err != nil {
		return err
	}
	ports, err := FreeAddresses(2)
	if err != nil {
		return err
	}
	args := slices.Concat(wrapper, []string{
		s.binary("manager"), "--role=gateway", "--kubeconfig", kubeconfig, "--pod-name", g.Name, "--tls-dir", g.TLSDir,
		"--pairing-bind-address", g.PairingAddress, "--node-bind-address", g.NodeAddress,
		"--advertise-node-endpoint", advertised,
		"--metrics-bind-address", ports[0], "--health-probe-bind-address", ports[1],
	}, s.GatewayArgs, g.Args, more)
	// config/manager/gateway.yaml sets the same environment.
	p, err := StartProcess(g.Name, s.Dir, []string{"GODEBUG=adaptivestackstart=0"}, args...)
	if err != nil {
		return err
	}
	p.probes = ports[1]
	s.mu.Lock()
	defer s.mu.Unlock()
	g.Process = p
	return nil
}

// StartAgent starts an agent against the first gateway, with an identity directory for that name; a
// second call with the same name uses the same directory.
func (s *Stack) StartAgent(name string, args ...string) (*Process, error) {
	return s.StartAgentAt(name, s.PairingEndpoint, args...)
}

// StartAgentAt starts an agent against the given pairing endpoint; "" for an agent that is paired
// already or gets the endpoint by other means (--pair).
func (s *Stack) StartAgentAt(name, pairing string, args ...string) (*Process, error) {
	return s.startAgent(nil, name, pairing, args)
}

// StartAgentIn starts an agent as StartAgentAt does, in the network namespace (ip-netns(8)) netns.
func (s *Stack) StartAgentIn(netns, name, pairing string, args ...string) (*Process, error) {
	return s.startAgent([]string{"ip", "netns", "exec", netns}, name, pairing, args)
}

func (s *Stack) startAgent(wrapper []string, name, pairing string, args []string) (*Process, error) {
	argv := []string{"run", "--identity-dir", s.IdentityDir(name)}
	if pairing != "" {
		argv = append(argv, "--pairing", pairing)
	}
	return s.startMachines(wrapper, name, s.AgentBinary, append(argv, args...))
}

// StartMachines starts a program that runs agents. Close stops it before the gateways.
func (s *Stack) StartMachines(name, program string, args ...string) (*Process, error) {
	return s.startMachines(nil, name, program, args)
}

func (s *Stack) startMachines(wrapper []string, name, program string, args []string) (*Process, error) {
	p, err := StartProcess(name, s.Dir, nil, slices.Concat(wrapper, []string{s.binary(program)}, args)...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = append(s.agents, p)
	return p, nil
}

// IdentityDir returns the identity directory of the agent of that name.
func (s *Stack) IdentityDir(name string) string { return filepath.Join(s.Dir, "identity-"+name) }

func (s *Stack) waitReady(ctx context.Context) error {
	processes := []*Process{s.Controller}
	for _, g := range s.Gateways {
		processes = append(processes, g.Process)
	}
	for _, p := range processes {
		if err := p.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// WaitReady waits until /readyz of the process returns 200.
func (p *Process) WaitReady(ctx context.Context) error {
	last := ""
	err := p.WaitUntil(ctx, "become ready", func(string) bool {
		var ready bool
		ready, last = p.ready(ctx)
		return ready
	})
	if err != nil && last != "" {
		return fmt.Errorf("%w\n/readyz: %s", err, last)
	}
	return err
}

func (p *Process) ready(ctx context.Context) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probes+"/readyz?verbose=1", nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode == http.StatusOK, strings.TrimSpace(string(body))
}

// StartExtraGatewayIn starts a gateway as `StartExtraGateway` does, in the network namespace (ip-netns(8))
// netns. Its probes cannot be reached from outside.
func (s *Stack) StartExtraGatewayIn(netns, name, pairing, node string, more ...string) (*Process, error) {
	g := &Gateway{Name: name, PairingAddress: pairing, NodeAddress: node, TLSDir: s.Gateways[0].TLSDir}
	if err := s.startReplicaIn([]string{"ip", "netns", "exec", netns}, g, node, more); err != nil {
		return nil, err
	}
	return g.Process, nil
}

// StartExtraGateway starts one more replica, outside the list, on the given addresses; more are flags in
// addition to the usual ones.
func (s *Stack) StartExtraGateway(name, pairing, node string, more ...string) (*Process, error) {
	g := &Gateway{Name: name, PairingAddress: pairing, NodeAddress: node, TLSDir: s.Gateways[0].TLSDir}
	if err := s.startReplica(g, node, more...); err != nil {
		return nil, err
	}
	return g.Process, nil
}
