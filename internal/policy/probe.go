package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// errDisproved is wrapped by every error that shows that the policies do not work. Other errors
// show nothing about them, for example an API server that does not answer.
var errDisproved = errors.New("disproved")

func disprovedError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errDisproved}, args...)...)
}

// forgedUser is the user name that the forged objects contain.
const forgedUser = "mooring-forged"

// probe is one create request as a dry run.
type probe struct {
	description string
	client      client.Client
	object      client.Object
	policy      string // policy that must refuse the object; empty: it must be admitted
	// stamp returns the field that admission must have set to the requesting user; nil: no such
	// field.
	stamp func() string
}

// probes returns the probes of one proof. For each policy that can be probed, there is a forged
// object that it must refuse. An honest dispatch, code and pairing request must be admitted; the
// dispatch and the code must be stamped.
func probes(namespace string, own, impersonated client.Client) []probe {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "mooring-policy-probe"}
	dispatch := func(capability, by string) *v1alpha1.CapabilityDispatch {
		return &v1alpha1.CapabilityDispatch{ObjectMeta: meta, Spec: v1alpha1.CapabilityDispatchSpec{
			NodeName: "mooring-policy-probe", Capability: capability, RequestedBy: by}}
	}
	code := func(by string, autoApprove bool) *v1alpha1.PairingCode {
		spec := v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, IssuedBy: by}
		if autoApprove {
			spec.Method, spec.AutoApprove = v1alpha1.PairingMethodQR, true
		}
		return &v1alpha1.PairingCode{ObjectMeta: meta, Spec: spec}
	}
	request := func(decision *v1alpha1.PairingDecision) *v1alpha1.PairingRequest {
		return &v1alpha1.PairingRequest{ObjectMeta: meta, Spec: probeRequest(decision)}
	}
	node := &v1alpha1.Node{ObjectMeta: meta, Spec: v1alpha1.NodeSpec{PublicKeySHA256: strings.Repeat("0", 64), PairingRequestUID: forgedUser}}
	secret := &corev1.Secret{ObjectMeta: meta, Type: corev1.SecretTypeOpaque}
	honestDispatch, honestCode := dispatch(v1alpha1.ProbeCapability, ""), code("", false)
	return []probe{
		{description: "a dispatch in another user's name", client: impersonated, object: dispatch(v1alpha1.ProbeCapability, forgedUser), policy: v1alpha1.PolicyDispatches},
		{description: "a dispatch of a capability that RBAC does not give", client: impersonated, object: dispatch("mooring-forbidden.probe", ""), policy: v1alpha1.PolicyDispatches},
		{description: "an honest dispatch", client: impersonated, object: honestDispatch, stamp: func() string { return honestDispatch.Spec.RequestedBy }},
		{description: "a code in another user's name", client: impersonated, object: code(forgedUser, false), policy: v1alpha1.PolicyPairingCodes},
		{description: "a code that approves by itself", client: impersonated, object: code("", true), policy: v1alpha1.PolicyPairingCodes},
		{description: "an honest code", client: impersonated, object: honestCode, stamp: func() string { return honestCode.Spec.IssuedBy }},
		{description: "a pairing request with a decision", client: impersonated, object: request(&v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: forgedUser}), policy: v1alpha1.PolicyPairingRequests},
		{description: "an honest pairing request", client: impersonated, object: request(nil)},
		{description: "a Node without an approval", client: impersonated, object: node, policy: v1alpha1.PolicyNodes},
		{description: "a Secret of another type", client: own, object: secret, policy: v1alpha1.PolicyControllerSecrets},
	}
}

// try sends one dry-run create. An error that wraps errDisproved means that a policy admitted a
// forged object. A refusal by something else is neither a proof nor a failure. Nothing was
// admitted, and an API server that has just started refuses everything until it has loaded the
// roles.
func (p probe) try(ctx context.Context, user string) error {
	err := p.client.Create(ctx, p.object, client.DryRunAll)
	switch {
	case p.policy != "" && err == nil:
		return disprovedError("%s was admitted, policy %s must refuse it", p.description, p.policy)
	case p.policy != "" && strings.Contains(err.Error(), v1alpha1.PolicyMessage(p.policy)):
		return nil
	case p.policy != "":
		return fmt.Errorf("try %s: refused, but not by policy %s: %w", p.description, p.policy, err)
	case err != nil:
		return fmt.Errorf("try %s: %w", p.description, err)
	case p.stamp != nil && p.stamp() != user:
		return disprovedError("%s was admitted with the stamp %q instead of %q", p.description, p.stamp(), user)
	}
	return nil
}

// probeRequest returns the spec of a request that violates no rule of its kind.
func probeRequest(decision *v1alpha1.PairingDecision) v1alpha1.PairingRequestSpec {
	return v1alpha1.PairingRequestSpec{
		NodeName: "mooring-policy-probe", PublicKey: "none", PublicKeySHA256: strings.Repeat("0", 64),
		Method: v1alpha1.PairingMethodPIN, CodeName: "none", CodeIssuedBy: forgedUser, TranscriptSHA256: strings.Repeat("0", 64),
		VerificationCode: "AAAAA-AAAAA", ExpiresTime: metav1.Unix(0, 0), Decision: decision,
	}
}
