package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// refusal is why a request cannot be honoured, ever: a condition reason and a text for people.
// nil means that nothing speaks against it.
type refusal struct{ reason, message string }

func refuse(reason, format string, args ...any) *refusal {
	return &refusal{reason: reason, message: fmt.Sprintf(format, args...)}
}

// checkKey computes again what the gateway says about the key: people compare the result.
func checkKey(spec v1alpha1.PairingRequestSpec) *refusal {
	key, err := identity.ParsePublicKeyPEM([]byte(spec.PublicKey))
	if err != nil {
		return refuse(v1alpha1.ReasonKeyMismatch, "publicKey is not a key a machine may have: %v", err)
	}
	fingerprint, err := identity.FingerprintSPKI(key)
	if err != nil || fingerprint != spec.PublicKeySHA256 {
		return refuse(v1alpha1.ReasonKeyMismatch, "publicKeySHA256 is not the fingerprint of publicKey: do not trust the gateway that wrote this request")
	}
	if pairing.VerificationCode(fingerprint) != spec.VerificationCode {
		return refuse(v1alpha1.ReasonKeyMismatch, "verificationCode does not belong to publicKey: do not trust the gateway that wrote this request")
	}
	return nil
}

// checkCode compares a request with the code it names and the record a gateway bound to its
// key. Both are live; nil means that they do not exist.
func checkCode(request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode, record *pairingRecord) *refusal {
	spec := request.Spec
	switch {
	case code == nil || !code.DeletionTimestamp.IsZero():
		return refuse(v1alpha1.ReasonCodeNotFound, "PairingCode %q does not exist any more: pair the machine again with a new code", spec.CodeName)
	case code.Status.Phase == v1alpha1.PairingCodeExpired || code.Status.Phase == v1alpha1.PairingCodeBurnt:
		// Said only once the record is gone and no key had used it: what is there now was held back.
		return refuse(v1alpha1.ReasonCodeNotFound, "PairingCode %q is %s and no machine used it: pair the machine again with a new code", spec.CodeName, code.Status.Phase)
	case record == nil || !record.belongsTo(code) || !record.secret.DeletionTimestamp.IsZero():
		return refuse(v1alpha1.ReasonCodeNotFound, "PairingCode %q has no password record: pair the machine again with a new code", spec.CodeName)
	case record.consumedBy == "" || record.consumedBy != spec.PublicKeySHA256 || record.requestName != request.Name:
		return refuse(v1alpha1.ReasonCodeMismatch, "PairingCode %q was not used by this key for this request", spec.CodeName)
	case code.Status.UsedBy != "" && code.Status.UsedBy != request.Name:
		// The record is guarded by a policy; this status is not, only the controller may write it.
		return refuse(v1alpha1.ReasonCodeMismatch, "PairingCode %q was used for PairingRequest %q", spec.CodeName, code.Status.UsedBy)
	case code.Spec.Method != spec.Method || record.method != spec.Method:
		return refuse(v1alpha1.ReasonCodeMismatch, "PairingCode %q is of method %s", spec.CodeName, code.Spec.Method)
	case code.Spec.IssuedBy != spec.CodeIssuedBy:
		return refuse(v1alpha1.ReasonCodeMismatch, "PairingCode %q was issued by %q", spec.CodeName, code.Spec.IssuedBy)
	case code.Spec.NodeName != "" && code.Spec.NodeName != spec.NodeName:
		return refuse(v1alpha1.ReasonCodeMismatch, "PairingCode %q is for Node %q", spec.CodeName, code.Spec.NodeName)
	default:
		return nil
	}
}

// check makes sure that a request is what it claims, by live reads: the record may have been
// written a moment ago. It returns the code the request was made with.
func (r *pairingRequestReconciler) check(ctx context.Context, request *v1alpha1.PairingRequest) (*v1alpha1.PairingCode, *refusal, error) {
	if refused := checkKey(request.Spec); refused != nil {
		return nil, refused, nil
	}
	if request.Spec.Method == v1alpha1.PairingMethodServiceAccount {
		return r.accounts.check(ctx, request)
	}
	var code *v1alpha1.PairingCode
	var record *pairingRecord
	if request.Spec.CodeName != "" {
		live := &v1alpha1.PairingCode{}
		err := r.live.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: request.Spec.CodeName}, live)
		if client.IgnoreNotFound(err) != nil {
			return nil, nil, fmt.Errorf("read code %q: %w", request.Spec.CodeName, err)
		}
		if err == nil {
			code = live
			if record, err = r.records.get(ctx, code.Status.LookupID); err != nil {
				return nil, nil, err
			}
		}
	}
	if refused := checkCode(request, code, record); refused != nil {
		return code, refused, nil
	}
	refused, err := codeProven(r.proofs, code)
	return code, refused, err
}
