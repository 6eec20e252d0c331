package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

const (
	protocolVersion = 1

	registerTimeout = 20 * time.Second
	// welcomeTimeout is long: a gateway records a session before it welcomes.
	welcomeTimeout = time.Minute
)

// hold dials and holds one session to its end. The error says why it ended.
func (r *Runner) hold(ctx context.Context, counter uint64) (welcomed bool, err error) {
	if r.lapsed() {
		if err := r.recoverCertificate(ctx); err != nil {
			return false, err
		}
	}
	certificate := r.Credentials.Identity().TLS()
	l, err := link.Dial(ctx, r.Credentials.Endpoint(), link.Verified(r.Credentials.Bundle(), &certificate, r.Now))
	if err != nil {
		return false, err
	}
	defer l.Close()
	client := gatewayv1.NewNodeServiceClient(l.Conn)
	if err := r.register(ctx, client); err != nil {
		return false, refusedOr(l, err)
	}
	// The stream outlives ctx by a moment, to say goodbye.
	group, streamCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	s := newStream(r, l, client, ctx)
	group.Go(func() error { return s.run(streamCtx, counter, group) })
	err = group.Wait()
	r.Executor.Detach()
	if ending := s.ending(); ending != nil {
		err = ending
	}
	return s.welcomed.Load(), refusedOr(l, err)
}

// refusedOr puts a refused connection before the noise it caused.
func refusedOr(l *link.Link, err error) error {
	if refusal := l.Refused(); refusal != nil && err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("%w: %w", refusal, err)
	}
	return err
}

func (r *Runner) register(ctx context.Context, client gatewayv1.NodeServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	answer, err := client.RegisterNode(ctx, &gatewayv1.RegisterNodeRequest{
		System: r.System, Capabilities: declare(r.Registry), BootId: r.BootID,
	})
	if err != nil {
		return err
	}
	r.Log.Info("registered", "granted", answer.GetGrantedCapabilities(), "withheld", answer.GetWithheldCapabilities())
	return nil
}

func (r *Runner) hello(counter uint64) (*gatewayv1.StreamNodeEventsRequest, error) {
	open, err := r.Journal.Unsettled()
	if err != nil {
		return nil, err
	}
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{
		BootId:          r.BootID,
		JournalId:       r.Journal.ID(),
		DialCounter:     counter,
		AgentTime:       timestamppb.New(r.Now()),
		BundleSha256:    hashBytes(r.Credentials.Bundle()),
		AgentVersion:    version.Version,
		ProtocolVersion: protocolVersion,
		Unsettled:       unsettled(open),
	}}}, nil
}
