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
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/version"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

const (
	protocolVersion = 1

	registerTimeout = 20 * time.Second
	// welcomeTimeout is long, because a gateway records a session before it sends Welcome.
	welcomeTimeout = time.Minute
)

// sessionProgress is the progress of a session attempt; address is empty when no gateway was
// reached.
type sessionProgress struct {
	address              string
	registered, welcomed bool
}

// runSession dials a gateway and runs one session to its end. The error is the reason for the end.
func (r *Runner) runSession(ctx context.Context, counter uint64) (progress sessionProgress, err error) {
	if r.Credentials.Expired(r.Now()) {
		if err := r.Renewer.Recover(ctx); err != nil {
			return progress, err
		}
	}
	l, err := r.gateways.Dial(ctx, r.tlsConfig())
	if err != nil {
		return progress, err
	}
	progress.address = l.Address
	defer l.Close()
	outdated, err := r.registerNode(ctx, gatewayv1.NewNodeServiceClient(l.Conn))
	if err != nil {
		return progress, withRefusal(l, err)
	}
	progress.registered = true
	// The stream outlives ctx by a moment, so that closeGracefully can use it.
	group, streamCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	s := newSession(r, l, ctx)
	r.deliveries.startSession()
	defer s.link.Close()
	s.capabilitiesChanged = outdated
	group.Go(func() error { return s.run(streamCtx, counter, group) })
	err = group.Wait()
	r.Executor.Detach()
	if ending := s.endReason(); ending != nil {
		err = ending
	}
	if progress.welcomed = s.welcomed.Load(); progress.welcomed {
		if refused := r.deliveries.endSession(err); refused != "" {
			r.dropOutput(refused)
		}
	}
	l, _ = s.link.Current()
	return progress, withRefusal(l, err)
}

// tlsConfig returns the TLS configuration with the certificate and the CA bundle in use.
func (r *Runner) tlsConfig() *tls.Config {
	certificate := r.Credentials.Identity().TLSCertificate()
	return link.TLSConfig(r.Credentials.Bundle(), &certificate, r.Now)
}

// redial opens another connection to the gateway of a polled session.
func (r *Runner) redial(ctx context.Context, broken *link.Link) (*link.Link, error) {
	return broken.Redial(ctx, r.tlsConfig())
}

// withRefusal puts the refusal of a connection before the errors that it caused.
func withRefusal(l *link.Link, err error) error {
	if refusal := l.RefusalError(); refusal != nil && err != nil && !errors.Is(err, errStopped) {
		return fmt.Errorf("%w: %w", refusal, err)
	}
	return err
}

// registerNode sends the description of the machine. changed is closed when the description
// changes.
func (r *Runner) registerNode(ctx context.Context, client gatewayv1.NodeServiceClient) (changed <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	declared, changed := declareCapabilities(r.Registry)
	answer, err := client.RegisterNode(ctx, &gatewayv1.RegisterNodeRequest{
		System: r.System, Capabilities: declared, BootId: foreign.Truncate(r.BootID, maxIDBytes),
	})
	if err != nil {
		return nil, err
	}
	r.Observer.CapabilitiesGranted(answer.GetGrantedCapabilities())
	r.Log.Info("registered", "granted", answer.GetGrantedCapabilities(), "withheld", answer.GetWithheldCapabilities())
	return changed, nil
}

func (r *Runner) newHello(counter uint64) (*gatewayv1.StreamNodeEventsRequest, error) {
	open, err := r.Journal.Unsettled()
	if err != nil {
		return nil, err
	}
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: &gatewayv1.Hello{
		BootId:          foreign.Truncate(r.BootID, maxIDBytes),
		JournalId:       r.Journal.ID(),
		DialCounter:     counter,
		AgentTime:       timestamppb.New(r.Now()),
		BundleSha256:    bundleHash(r.Credentials.Bundle()),
		AgentVersion:    foreign.Truncate(version.Version, maxIDBytes),
		ProtocolVersion: protocolVersion,
		Unsettled:       wireUnsettled(open),
		Features:        []gatewayv1.Feature{gatewayv1.Feature_FEATURE_CLEARANCE},
	}}}, nil
}
