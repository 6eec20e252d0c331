package session

import (
	"context"
	"crypto/tls"
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
	// welcomeTimeout is long, because a gateway records a session before it sends Welcome.
	welcomeTimeout = time.Minute
)

// reach is the progress of a session attempt; address is empty when no gateway was reached.
type reach struct {
	address              string
	registered, welcomed bool
}

// hold dials a gateway and runs one session to its end. The error is the reason for the end.
func (r *Runner) hold(ctx context.Context, counter uint64) (far reach, err error) {
	if r.lapsed() {
		if err := r.recoverCertificate(ctx); err != nil {
			return far, err
		}
	}
	l, err := r.gateways.Dial(ctx, r.trusted())
	if err != nil {
		return far, err
	}
	far.address = l.Address
	defer l.Close()
	outdated, err := r.register(ctx, gatewayv1.NewNodeServiceClient(l.Conn))
	if err != nil {
		return far, refusedOr(l, err)
	}
	far.registered = true
	// The stream outlives ctx by a moment, so that goodbye can use it.
	group, streamCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	s := newStream(r, l, ctx)
	r.deliveries.begin()
	defer s.carrier.close()
	s.outdated = outdated
	group.Go(func() error { return s.run(streamCtx, counter, group) })
	err = group.Wait()
	r.Executor.Detach()
	if ending := s.ending(); ending != nil {
		err = ending
	}
	if far.welcomed = s.welcomed.Load(); far.welcomed {
		if refused := r.deliveries.ended(err); refused != "" {
			r.giveUpOutput(refused)
		}
	}
	l, _ = s.carrier.current()
	return far, refusedOr(l, err)
}

// trusted returns the TLS configuration with the certificate and the CA bundle in use.
func (r *Runner) trusted() *tls.Config {
	certificate := r.Credentials.Identity().TLS()
	return link.Verified(r.Credentials.Bundle(), &certificate, r.Now)
}

// redial opens another connection to the gateway of a polled session.
func (r *Runner) redial(ctx context.Context, address string) (*link.Link, error) {
	return link.Dial(ctx, address, r.trusted())
}

// refusedOr puts the refusal of a connection before the errors that it caused.
func refusedOr(l *link.Link, err error) error {
	if refusal := l.Refused(); refusal != nil && err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("%w: %w", refusal, err)
	}
	return err
}

// register sends the description of the machine. outdated is closed when the description changes.
func (r *Runner) register(ctx context.Context, client gatewayv1.NodeServiceClient) (outdated <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	declared, outdated := declare(r.Registry)
	answer, err := client.RegisterNode(ctx, &gatewayv1.RegisterNodeRequest{
		System: r.System, Capabilities: declared, BootId: text(r.BootID, maxIDBytes),
	})
	if err != nil {
		return nil, err
	}
	r.Observer.Registered(answer.GetGrantedCapabilities())
	r.Log.Info("registered", "granted", answer.GetGrantedCapabilities(), "withheld", answer.GetWithheldCapabilities())
	return outdated, nil
}

func (r *Runner) hello(counter uint64) (*gatewayv1.StreamNodeEventsRequest, error) {
	open, err := r.Journal.Unsettled()
	if err != nil {
		return nil, err
	}
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{
		BootId:          text(r.BootID, maxIDBytes),
		JournalId:       r.Journal.ID(),
		DialCounter:     counter,
		AgentTime:       timestamppb.New(r.Now()),
		BundleSha256:    hashBytes(r.Credentials.Bundle()),
		AgentVersion:    text(version.Version, maxIDBytes),
		ProtocolVersion: protocolVersion,
		Unsettled:       unsettled(open),
		Features:        []gatewayv1.Feature{gatewayv1.Feature_FEATURE_CLEARANCE},
	}}}, nil
}
