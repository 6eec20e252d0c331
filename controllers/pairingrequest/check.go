package pairingrequest

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/pairingcode"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// checkKey recomputes the fingerprint and the verification code of the key: people compare the
// result.
func checkKey(spec v1alpha1.PairingRequestSpec) *status.Reason {
	key, err := identity.ParsePublicKeyPEM([]byte(spec.PublicKey))
	if err != nil {
		return status.Reasonf(v1alpha1.ReasonKeyMismatch, "publicKey is not a key a machine may have: %v", err)
	}
	fingerprint, err := identity.FingerprintSPKI(key)
	if err != nil || fingerprint != spec.PublicKeySHA256 {
		return status.Reasonf(v1alpha1.ReasonKeyMismatch, "publicKeySHA256 is not the fingerprint of publicKey: do not trust the gateway that wrote this request")
	}
	if pairing.VerificationCode(fingerprint) != spec.VerificationCode {
		return status.Reasonf(v1alpha1.ReasonKeyMismatch, "verificationCode does not belong to publicKey: do not trust the gateway that wrote this request")
	}
	return nil
}

// checkCode compares a request with the code that it names and with the record that a gateway bound
// to its key. Both were read live; nil means that the object does not exist.
func checkCode(request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode, record *pairingcode.Record) *status.Reason {
	spec := request.Spec
	switch {
	case code == nil || !code.DeletionTimestamp.IsZero():
		return status.Reasonf(v1alpha1.ReasonCodeNotFound, "PairingCode %q does not exist any more: pair the machine again with a new code", spec.CodeName)
	case code.Status.Phase == v1alpha1.PairingCodeExpired || code.Status.Phase == v1alpha1.PairingCodeBurnt:
		// The phase is set only after the record was deleted unused: a record that still exists was
		// held back.
		return status.Reasonf(v1alpha1.ReasonCodeNotFound, "PairingCode %q is %s and no machine used it: pair the machine again with a new code", spec.CodeName, code.Status.Phase)
	case record == nil || !record.BelongsTo(code) || !record.Secret.DeletionTimestamp.IsZero():
		return status.Reasonf(v1alpha1.ReasonCodeNotFound, "PairingCode %q has no password record: pair the machine again with a new code", spec.CodeName)
	case record.ConsumedBy == "" || record.ConsumedBy != spec.PublicKeySHA256 || record.RequestName != request.Name:
		return status.Reasonf(v1alpha1.ReasonCodeMismatch, "PairingCode %q was not used by this key for this request", spec.CodeName)
	case code.Status.UsedBy != "" && code.Status.UsedBy != request.Name:
		// A policy guards the record. No policy guards this status; only the controller may write
		// it.
		return status.Reasonf(v1alpha1.ReasonCodeMismatch, "PairingCode %q was used for PairingRequest %q", spec.CodeName, code.Status.UsedBy)
	case code.Spec.Method != spec.Method || record.Method != spec.Method:
		return status.Reasonf(v1alpha1.ReasonCodeMismatch, "PairingCode %q is of method %s", spec.CodeName, code.Spec.Method)
	case code.Spec.IssuedBy != spec.CodeIssuedBy:
		return status.Reasonf(v1alpha1.ReasonCodeMismatch, "PairingCode %q was issued by %q", spec.CodeName, code.Spec.IssuedBy)
	case code.Spec.NodeName != "" && code.Spec.NodeName != spec.NodeName:
		return status.Reasonf(v1alpha1.ReasonCodeMismatch, "PairingCode %q is for Node %q", spec.CodeName, code.Spec.NodeName)
	default:
		return nil
	}
}

// check verifies the claims of a request by live reads: the record may have been written a moment
// ago. It stores the code with which the request was made in the scope.
func (r *reconciler) check(ctx context.Context, s *scope) step.Outcome {
	if refused := checkKey(s.request.Spec); refused != nil {
		return step.Refuse(refused)
	}
	if s.request.Spec.Method == v1alpha1.PairingMethodServiceAccount {
		return r.accounts.check(ctx, s)
	}
	code, record, err := r.readCode(ctx, s.request)
	if err != nil {
		return step.Fail(err)
	}
	if refused := checkCode(s.request, code, record); refused != nil {
		return step.Refuse(refused)
	}
	s.code = code
	switch refused, err := proof.CheckCode(r.proofs, code); {
	case err != nil:
		return step.Fail(err)
	case refused != nil:
		return step.Refuse(refused)
	default:
		return step.Continue()
	}
}

// readCode reads the code that a request names, and its record; nil means that there is none.
func (r *reconciler) readCode(ctx context.Context, request *v1alpha1.PairingRequest) (*v1alpha1.PairingCode, *pairingcode.Record, error) {
	if request.Spec.CodeName == "" {
		return nil, nil, nil
	}
	code := &v1alpha1.PairingCode{}
	err := r.live.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: request.Spec.CodeName}, code)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("read code %q: %w", request.Spec.CodeName, err)
	}
	record, err := r.records.Get(ctx, code.Status.LookupID)
	return code, record, err
}
