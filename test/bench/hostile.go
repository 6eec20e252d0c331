package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/link"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

const (
	// hostileWorkers are the connections that a hostile machine uses at a time, hostileCalls the
	// calls on one before the next.
	hostileWorkers, hostileCalls = 4, 10
	// hostileSession is how long it floods a session before it opens another.
	hostileSession = 500 * time.Millisecond
)

// hostile is a machine with a good certificate that costs its gateway as much as it can: heavy
// descriptions, new sessions, floods of messages and new connections.
type hostile struct {
	dial    func(context.Context) (*link.Link, error)
	journal string
	dials   atomic.Uint64
	schemas atomic.Uint64

	tally hostileTally
}

// hostileTally is what it did.
type hostileTally struct {
	Connections, Refused, Registrations, Sessions, Messages atomic.Int64
}

func (t *hostileTally) write(out io.Writer) error {
	return json.NewEncoder(out).Encode(map[string]int64{"connections": t.Connections.Load(), "refused": t.Refused.Load(),
		"registrations": t.Registrations.Load(), "sessions": t.Sessions.Load(), "messages": t.Messages.Load()})
}

// runHostile is the life of the process that startHostile starts: until its input ends.
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
	certificate := own.TLS()
	h := &hostile{journal: uuid.NewString()}
	h.dial = func(ctx context.Context) (*link.Link, error) {
		h.tally.Connections.Add(1)
		return link.Dial(ctx, endpoint, link.Verified(bundle, &certificate, time.Now))
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the bench closes it
		cancel()
	}()
	var workers sync.WaitGroup
	for range hostileWorkers {
		workers.Go(func() {
			for ctx.Err() == nil {
				h.connection(ctx)
			}
		})
	}
	workers.Wait()
	return h.tally.write(os.Stdout)
}

// connection is what it does with one connection.
func (h *hostile) connection(ctx context.Context) {
	l, err := h.dial(ctx)
	if err != nil {
		h.tally.Refused.Add(1)
		return
	}
	defer l.Close()
	client := gatewayv1.NewNodeServiceClient(l.Conn)
	for range hostileCalls {
		if _, err := client.RegisterNode(ctx, &gatewayv1.RegisterNodeRequest{Capabilities: h.heavy()}); err != nil {
			h.tally.Refused.Add(1)
			continue
		}
		h.tally.Registrations.Add(1)
	}
	h.session(ctx, client)
}

// session opens a session and floods it.
func (h *hostile) session(ctx context.Context, client gatewayv1.NodeServiceClient) {
	ctx, cancel := context.WithTimeout(ctx, hostileSession)
	defer cancel()
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
		CapabilitiesChanged: &gatewayv1.CapabilitiesChanged{Capabilities: h.heavy()}}}
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

// heavy is a list of capabilities with schemas that are expensive to parse and that no machine has
// declared before.
func (h *hostile) heavy() (list []*gatewayv1.Capability) {
	for i := range 64 {
		var schema strings.Builder
		fmt.Fprintf(&schema, `{"n":%d`, h.schemas.Add(1))
		for key := 0; schema.Len() < 4000; key++ {
			fmt.Fprintf(&schema, `,"%x":0`, key)
		}
		schema.WriteString("}")
		list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), Available: true, InputSchema: []byte(schema.String())})
	}
	return list
}

// startHostile starts a hostile machine as a process of the lowest priority: its own work is not
// what its gateway pays for. stop ends it and returns what it did.
func startHostile(ctx context.Context, dir, endpoint string) (stop func() (string, error), err error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, "nice", "-n", "19", binary, "--hostile", dir, "--endpoint", endpoint)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	var out strings.Builder
	command.Stdout = &out
	if err := command.Start(); err != nil {
		return nil, err
	}
	return func() (string, error) {
		_ = input.Close()
		err := command.Wait()
		return strings.TrimSpace(out.String()), err
	}, nil
}
