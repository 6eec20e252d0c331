package enroll

import (
	"fmt"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

func (w *approvalWaiter) handleApproved(uri string) error {
	id, err := identity.ParseID(uri)
	if err != nil {
		return &finalError{ErrFailed, err.Error()}
	}
	if id.Namespace != w.pending.Request.Namespace {
		return &finalError{ErrFailed, fmt.Sprintf("approved for namespace %q, asked for %q", id.Namespace, w.pending.Request.Namespace)}
	}
	if w.csr != nil && id == w.id {
		return nil
	}
	w.Console.PrintOnce("Approved; waiting for the certificate")
	return w.makeCSR(id)
}

// refreshCSR replaces a CSR that got no certificate within maxPollsPerCSR polls.
func (w *approvalWaiter) refreshCSR() error {
	if w.csr == nil {
		return nil
	}
	if w.csrPolls++; w.csrPolls < maxPollsPerCSR {
		return nil
	}
	return w.makeCSR(w.id)
}

func (w *approvalWaiter) makeCSR(id identity.ID) error {
	csr, err := identity.NewCSR(w.pending.Key, id)
	if err != nil {
		return err
	}
	w.id, w.csr, w.csrPolls = id, csr, 0
	return nil
}

// handleCompleted stores the identity. The CA bundle in the answer is newer than the confirmed one;
// it is stored only if it certifies the gateway that sent it.
func (w *approvalWaiter) handleCompleted(l *link.Link, state *gatewayv1.PairingCompleted) error {
	chain, err := identity.ParseChain(state.GetChain())
	if err != nil {
		return &finalError{ErrFailed, err.Error()}
	}
	got, err := store.NewIdentity(w.pending.Key, chain)
	if err != nil {
		return &finalError{ErrFailed, err.Error()}
	}
	request := w.pending.Request
	if got.ID.Namespace != request.Namespace || (w.csr != nil && got.ID != w.id) {
		return &finalError{ErrFailed, fmt.Sprintf("the certificate is for %s", got.ID)}
	}
	bundle, err := identity.ParseBundle(state.GetTrustBundle())
	if err == nil {
		err = l.CheckBundle(bundle, w.Now())
	}
	if err != nil {
		w.Log.Error("CA bundle refused; the confirmed one stays", "error", err)
		bundle = request.Bundle
	}
	config := store.Config{NodeEndpoint: request.NodeEndpoint, PairingEndpoint: w.Endpoint}
	if err := w.Store.FinishPairing(got, bundle, config); err != nil {
		return fmt.Errorf("store identity: %w", err)
	}
	w.Console.Print("Paired as node %s/%s", got.ID.Namespace, got.ID.Node)
	return nil
}
