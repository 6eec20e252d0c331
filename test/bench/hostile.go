package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

const (
	// hostileCalls is the number of calls on a connection before the next connection.
	hostileCalls = 10
	// hostileSessionTime is the time for which a session is flooded before the next one opens.
	hostileSessionTime = 500 * time.Millisecond
	// hostileNice is the nice value of the hostile process, so that its own work takes no processor
	// time from the gateway.
	hostileNice = "10"
)

// hostile is a machine with a valid certificate that costs its gateway as much as it can: large
// descriptions, new sessions, floods of messages and new connections.
type hostile struct {
	dial    func(context.Context) (*link.Link, error)
	journal string
	keys    string // of a schema that is expensive to parse, without its beginning
	dials   atomic.Uint64
	schemas atomic.Uint64

	tally hostileTally
}

// hostileTally counts the calls of a hostile machine.
type hostileTally struct {
	Connections, Refused, Registrations, Sessions, Messages atomic.Int64
}

func (t *hostileTally) write(out io.Writer) error {
	return json.NewEncoder(out).Encode(map[string]int64{"connections": t.Connections.Load(), "refused": t.Refused.Load(),
		"registrations": t.Registrations.Load(), "sessions": t.Sessions.Load(), "messages": t.Messages.Load()})
}

// runHostile runs the hostile machine in the process that startHostile starts, until its standard
// input ends.
func runHostile(ctx context.Context, dir, endpoint string) error {
	directory, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer directory.Close()
	own, err := directory.Identity()
	if err != nil {
		return err
	}
	bundle, err := directory.Trust()
	if err != nil {
		return err
	}
	certificate := own.TLSCertificate()
	h := &hostile{journal: uuid.NewString(), keys: schemaKeys()}
	h.dial = func(ctx context.Context) (*link.Link, error) {
		h.tally.Connections.Add(1)
		return link.Dialer{}.Dial(ctx, endpoint, link.TLSConfig(bundle, &certificate, time.Now))
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the bench closes it
		cancel()
	}()
	var workers sync.WaitGroup
	for _, use := range []func(context.Context, gatewayv1.NodeServiceClient){h.floodRegistrations, h.floodRegistrations, h.floodSession, h.floodSession} {
		workers.Go(func() {
			for ctx.Err() == nil {
				h.runConnection(ctx, use)
			}
		})
	}
	workers.Wait()
	return h.tally.write(os.Stdout)
}

// runConnection opens a connection, uses it once and closes it.
func (h *hostile) runConnection(ctx context.Context, use func(context.Context, gatewayv1.NodeServiceClient)) {
	l, err := h.dial(ctx)
	if err != nil {
		h.tally.Refused.Add(1)
		return
	}
	defer l.Close()
	use(ctx, gatewayv1.NewNodeServiceClient(l.Conn))
}

// floodRegistrations sends descriptions with many new schemas, hostileCalls times.
func (h *hostile) floodRegistrations(ctx context.Context, client gatewayv1.NodeServiceClient) {
	for range hostileCalls {
		if _, err := client.RegisterNode(ctx, &gatewayv1.RegisterNodeRequest{Capabilities: h.heavyCapabilities()}); err != nil {
			h.tally.Refused.Add(1)
			continue
		}
		h.tally.Registrations.Add(1)
	}
}

// floodSession opens a session and floods it with messages.
func (h *hostile) floodSession(ctx context.Context, client gatewayv1.NodeServiceClient) {
	ctx, cancel := context.WithTimeout(ctx, hostileSessionTime)
	defer cancel()
	if _, err := client.RegisterNode(ctx, &gatewayv1.RegisterNodeRequest{}); err != nil {
		h.tally.Refused.Add(1)
		return
	}
	stream, err := client.StreamNodeEvents(ctx)
	if err != nil {
		h.tally.Refused.Add(1)
		return
	}
	hello := &gatewayv1.Hello{JournalId: h.journal, DialCounter: h.dials.Add(1), ProtocolVersion: 1}
	if stream.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: hello}}) != nil {
		return
	}
	if _, err := stream.Recv(); err != nil {
		h.tally.Refused.Add(1)
		return
	}
	h.tally.Sessions.Add(1)
	changed := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{
		CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: h.heavyCapabilities()}}}
	unknown := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{
		Dispatch: &gatewayv1.DispatchRef{Namespace: "kube-system", Name: "x", Uid: uuid.NewString()}, Output: []byte(`1`)}}}
	for i := 0; ; i++ {
		message := unknown
		if i%100 == 0 {
			message = changed
		}
		if stream.Send(message) != nil {
			return
		}
		h.tally.Messages.Add(1)
	}
}

// heavyCapabilities returns capabilities whose schemas are expensive to parse and were never declared before.
func (h *hostile) heavyCapabilities() (list []*gatewayv1.Capability) {
	for i := range 64 {
		schema := fmt.Sprintf(`{"n":%d`, h.schemas.Add(1)) + h.keys
		list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), Available: true, InputSchema: []byte(schema)})
	}
	return list
}

func schemaKeys() string {
	var keys strings.Builder
	for key := 0; keys.Len() < 4000; key++ {
		fmt.Fprintf(&keys, `,"%x":0`, key)
	}
	return keys.String() + "}"
}

// hostileProcess is the process of a hostile machine.
type hostileProcess struct {
	process *exec.Cmd
	input   io.Closer
	out     strings.Builder
}

func startHostile(ctx context.Context, dir, endpoint string) (*hostileProcess, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &hostileProcess{process: exec.CommandContext(ctx, "nice", "-n", hostileNice, binary, "--hostile", dir, "--endpoint", endpoint)}
	e.process.Stdout, e.process.Stderr = &e.out, os.Stderr
	if e.input, err = e.process.StdinPipe(); err != nil {
		return nil, err
	}
	return e, e.process.Start()
}

// suspend stops the process for a while; resume continues it.
func (e *hostileProcess) suspend() error { return e.process.Process.Signal(syscall.SIGSTOP) }
func (e *hostileProcess) resume() error  { return e.process.Process.Signal(syscall.SIGCONT) }

// end ends the process and returns its tally.
func (e *hostileProcess) end() (string, error) {
	err := e.resume()
	_ = e.input.Close()
	err = errors.Join(err, e.process.Wait())
	return strings.TrimSpace(e.out.String()), err
}
