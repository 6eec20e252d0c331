package chaos_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/wire"
)

// The faults that a faultInjector causes.
const (
	killAgents     = "agents killed"
	killGateway    = "gateways killed"
	killController = "controllers killed"
	killAPIServer  = "apiservers killed"
	killEtcd       = "etcds killed"
	cutUplink      = "gateways cut off from the apiserver"
	cutFront       = "gateways cut off from the machines"
)

// faultInjector causes one fault after the other.
type faultInjector struct {
	*parts
	*network
	random *rand.Rand
	// faults holds the faults of one round, which happen in random order.
	faults []string
	// pause is the longest time between two faults, cut the longest time of one cut.
	pause, cut time.Duration
	groups     []*part
	replicas   []*part
	controller *part
}

// run runs one round or, in full size, as many as it takes until enough is closed.
func (m *faultInjector) run(ctx context.Context, enough <-chan struct{}, full bool) error {
	for {
		if err := m.round(ctx); err != nil || !full {
			return err
		}
		select {
		case <-enough:
			return nil
		default:
		}
	}
}

// round causes every fault of m.faults once, in random order. It stops early when ctx ends.
func (m *faultInjector) round(ctx context.Context) error {
	faults := append([]string(nil), m.faults...)
	m.random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for _, fault := range faults {
		// Time passes between the faults, so that the parts work before they break.
		if !sleep(ctx, m.between(m.pause)) {
			return nil
		}
		if err := m.inject(ctx, fault); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (m *faultInjector) inject(ctx context.Context, fault string) error {
	switch fault {
	case killAgents:
		m.kill(m.groups[m.random.IntN(len(m.groups))], fault)
	case killGateway:
		m.kill(m.replicas[m.random.IntN(len(m.replicas))], fault)
	case killController:
		m.kill(m.controller, fault)
	case killAPIServer:
		m.logEvent(fault, "kill -9 kube-apiserver")
		return system.Cluster.CrashComponent(ctx, controlplane.APIServer)
	case killEtcd:
		m.logEvent(fault, "kill -9 etcd")
		return system.Cluster.CrashComponent(ctx, controlplane.Etcd)
	case cutUplink:
		m.cutWire(ctx, fault, m.uplinks)
	case cutFront:
		m.cutWire(ctx, fault, m.downlinks)
	}
	return nil
}

// cutWire holds up or breaks one of the wires for a while.
func (m *faultInjector) cutWire(ctx context.Context, fault string, wires []*wire.Proxy) {
	i := m.random.IntN(len(wires))
	lasts := m.between(m.cut)
	if m.random.IntN(2) == 0 {
		m.logEvent(fault, "silence on the wire of gateway-%d for %s, %s", i, lasts, fault)
		wires[i].Hold()
	} else {
		m.logEvent(fault, "break the wire of gateway-%d for %s, %s", i, lasts, fault)
		wires[i].Drop()
	}
	sleep(ctx, lasts)
	wires[i].Heal()
}

// between returns a random time, at least a third of the longest.
func (m *faultInjector) between(longest time.Duration) time.Duration {
	return longest/3 + time.Duration(m.random.Int64N(int64(longest*2/3)))
}

// sleep waits for d; it returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// replicaParts returns the gateways as parts; controllerPart returns the controller.
func replicaParts() (all []*part) {
	for i, g := range system.Gateways {
		all = append(all, &part{name: g.Name, process: func() *stack.Process { return g.Process }, start: func() error { return system.StartGateway(i) }})
	}
	return all
}

func controllerPart() *part {
	return &part{name: "controller", process: func() *stack.Process { return system.Controller }, start: system.StartController}
}
