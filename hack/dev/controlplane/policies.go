package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// CheckPolicies returns an error unless the admission policies set their fields and reject forged
// objects. It leaves nothing behind.
func (c *Cluster) CheckPolicies(ctx context.Context) error {
	if err := c.checkStamps(ctx); err != nil {
		return err
	}
	meta := metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "probe"}
	account := "system:serviceaccount:" + v1alpha1.SystemNamespace + ":"
	for _, try := range []struct {
		user, policy string
		object       client.Object
	}{
		{"", v1alpha1.PolicyDispatches, &v1alpha1.CapabilityDispatch{ObjectMeta: meta, Spec: v1alpha1.CapabilityDispatchSpec{
			NodeName: "probe", Capability: v1alpha1.ProbeCapability, RequestedBy: "forged"}}},
		{"", v1alpha1.PolicyPairingCodes, &v1alpha1.PairingCode{ObjectMeta: meta, Spec: v1alpha1.PairingCodeSpec{
			Method: v1alpha1.PairingMethodPIN, IssuedBy: "forged"}}},
		{"", v1alpha1.PolicyPairingRequests, &v1alpha1.PairingRequest{ObjectMeta: meta, Spec: forgedDecision()}},
		{account + v1alpha1.ProbeServiceAccount, v1alpha1.PolicyNodes, &v1alpha1.Node{ObjectMeta: meta, Spec: v1alpha1.NodeSpec{
			PublicKeySHA256: strings.Repeat("0", 64), PairingRequestUID: "forged"}}},
		{account + v1alpha1.ControllerServiceAccount, v1alpha1.PolicyControllerSecrets, &corev1.Secret{ObjectMeta: meta}},
		{account + v1alpha1.GatewayServiceAccount, v1alpha1.PolicyGatewaySecrets, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PairingNamespace, Name: "probe"}}},
		{account + v1alpha1.GatewayServiceAccount, v1alpha1.PolicyGatewayLeases, &coordinationv1.Lease{ObjectMeta: meta}},
	} {
		as := c.client
		if try.user != "" {
			var err error
			if as, err = client.New(c.UserConfig(try.user), client.Options{Scheme: Scheme(), Mapper: c.client.RESTMapper()}); err != nil {
				return err
			}
		}
		err := as.Create(ctx, try.object, client.DryRunAll)
		if err == nil {
			return fmt.Errorf("policy %s does not reject the probe yet", try.policy)
		}
		if !strings.Contains(err.Error(), v1alpha1.PolicyMessage(try.policy)) {
			return fmt.Errorf("the rejection does not come from policy %s: %w", try.policy, err)
		}
	}
	return nil
}

func (c *Cluster) checkStamps(ctx context.Context) error {
	meta := metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "probe"}
	dispatch := &v1alpha1.CapabilityDispatch{ObjectMeta: meta, Spec: v1alpha1.CapabilityDispatchSpec{
		NodeName: "probe", Capability: v1alpha1.ProbeCapability}}
	code := &v1alpha1.PairingCode{ObjectMeta: meta, Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}}
	for _, object := range []client.Object{dispatch, code} {
		if err := c.client.Create(ctx, object, client.DryRunAll); err != nil {
			return err
		}
	}
	if dispatch.Spec.RequestedBy == "" || code.Spec.IssuedBy == "" {
		return errors.New("admission does not set requestedBy and issuedBy yet")
	}
	return nil
}

func forgedDecision() v1alpha1.PairingRequestSpec {
	return v1alpha1.PairingRequestSpec{
		NodeName: "probe", PublicKey: "none", PublicKeySHA256: strings.Repeat("0", 64),
		Method: v1alpha1.PairingMethodPIN, CodeName: "none", TranscriptSHA256: strings.Repeat("0", 64),
		VerificationCode: "AAAAA-AAAAA", ExpiresTime: metav1.Unix(0, 0),
		Decision: &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: "forged"},
	}
}
