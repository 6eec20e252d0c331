package chaos_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/wire"
)

// The faults that a monkey causes.
const (
	killAgents     = "agents killed"
	killGateway    = "gateways killed"
	killController = "controllers killed"
	killAPIServer  = "apiservers killed"
	killEtcd       = "etcds killed"
	cutUplink      = "gateways cut off from the apiserver"
	cutFront       = "gateways cut off from the machines"
)

// monkey causes one fault after the other.
type monkey struct {
	*parts
	*network
	random *rand.Rand
	// bag holds the faults of one round, which happen in random order.
	bag []string
	// pause is the longest time between two faults, cut the longest time of one cut.
	pause, cut time.Duration
	groups     []*part
	replicas   []*part
	controller *part
}

// rage runs one round or, in full size, as many as it takes until enough is closed.
func (m *monkey) rage(ctx context.Context, enough <-chan struct{}, full bool) error {
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

// round causes every fault in the bag once; it stops early when ctx ends.
func (m *monkey) round(ctx context.Context) error {
	deeds := append([]string(nil), m.bag...)
	m.random.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	for _, deed := range deeds {
		// Time passes between the faults, so that the parts work before they break.
		if !wait(ctx, m.between(m.pause)) {
			return nil
		}
		if err := m.do(ctx, deed); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (m *monkey) do(ctx context.Context, deed string) error {
	switch deed {
	case killAgents:
		m.kill(m.groups[m.random.IntN(len(m.groups))], deed)
	case killGateway:
		m.kill(m.replicas[m.random.IntN(len(m.replicas))], deed)
	case killController:
		m.kill(m.controller, deed)
	case killAPIServer:
		m.note(deed, "kill -9 kube-apiserver")
		return system.Cluster.CrashComponent(ctx, cluster.APIServer)
	case killEtcd:
		m.note(deed, "kill -9 etcd")
		return system.Cluster.CrashComponent(ctx, cluster.Etcd)
	case cutUplink:
		m.sever(ctx, deed, m.uplinks)
	case cutFront:
		m.sever(ctx, deed, m.doors)
	}
	return nil
}

// sever holds up or breaks one of the wires for a while.
func (m *monkey) sever(ctx context.Context, deed string, wires []*wire.Wire) {
	i := m.random.IntN(len(wires))
	lasts := m.between(m.cut)
	if m.random.IntN(2) == 0 {
		m.note(deed, "silence on the wire of gateway-%d for %s, %s", i, lasts, deed)
		wires[i].Hold()
	} else {
		m.note(deed, "break the wire of gateway-%d for %s, %s", i, lasts, deed)
		wires[i].Drop()
	}
	wait(ctx, lasts)
	wires[i].Heal()
}

// between returns a random time, at least a third of the longest.
func (m *monkey) between(longest time.Duration) time.Duration {
	return longest/3 + time.Duration(m.random.Int64N(int64(longest*2/3)))
}

// wait waits for d; it returns false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
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
