package pairingcode

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/trust"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// lookupDraws bounds the search for a free lookup id. With a million live codes, one draw in a
// thousand hits an id that is taken.
const lookupDraws = 16

// notYetError explains why the Secrets of a code cannot be created now; its text is for users.
type notYetError struct {
	message      string
	requeueAfter time.Duration // 0: not before the controller is restarted with other flags
}

func (e *notYetError) Error() string { return e.message }

// codeSecrets creates the two Secrets of a code.
type codeSecrets struct {
	client   client.Client
	records  Records
	rand     io.Reader
	endpoint string // --advertise-pairing-endpoint; "" if unset
	serverCA func(context.Context) (identity.Bundle, error)
}

// createPair creates the record and then the Secret for people, and returns the lookup id. If an
// earlier attempt failed in between, the pair gets a new password, because the old password was
// never published. A record that a machine already used proves that the pair is complete.
func (s codeSecrets) createPair(ctx context.Context, code *v1alpha1.PairingCode) (lookupID string, err error) {
	password, err := s.newPassword(code.Spec.Method)
	if err != nil {
		return "", err
	}
	lookupID, complete, err := s.createRecord(ctx, code, password)
	if err != nil || complete {
		return lookupID, err
	}
	data, err := s.userSecretData(ctx, code.Spec.Method, lookupID, password)
	if err != nil {
		return "", err
	}
	return lookupID, s.createUserSecret(ctx, code, lookupID, data)
}

// checkPrerequisites returns an error if no attempt to create the Secrets can succeed now.
func (s codeSecrets) checkPrerequisites(ctx context.Context, method v1alpha1.PairingMethod) error {
	if method != v1alpha1.PairingMethodQR {
		return nil
	}
	if s.endpoint == "" {
		return &notYetError{message: "a QR code needs the address of the gateway: start the controller with --advertise-pairing-endpoint HOST:PORT, or use method PIN"}
	}
	if _, err := s.serverCA(ctx); err != nil {
		if errors.Is(err, trust.ErrPending) {
			return &notYetError{message: "a QR code needs the server CA, which is not known yet: " + err.Error(), requeueAfter: time.Second}
		}
		return err
	}
	return nil
}

func (s codeSecrets) newPassword(method v1alpha1.PairingMethod) (string, error) {
	if method == v1alpha1.PairingMethodQR {
		return pairing.NewQRSecret(s.rand)
	}
	return pairing.NewPIN(s.rand)
}

// createRecord finds a lookup id that no other code has and stores the password under it.
func (s codeSecrets) createRecord(ctx context.Context, code *v1alpha1.PairingCode, password string) (lookupID string, complete bool, err error) {
	for attempt := range lookupDraws {
		lookupID, err := lookupIDOf(code.UID, attempt)
		if err != nil {
			return "", false, err
		}
		existing, err := s.records.Get(ctx, lookupID)
		switch {
		case err != nil:
			return "", false, err
		case existing == nil:
			return lookupID, false, s.createSecret(ctx, s.newRecord(code, lookupID, password))
		case !existing.BelongsTo(code):
			continue
		case existing.wasTried():
			return lookupID, true, nil
		default:
			// The update carries the version that was read: a gateway may be using the record at
			// this moment.
			secret := existing.Secret.DeepCopy()
			maps.Copy(secret.Data, s.newRecord(code, lookupID, password).Data)
			if err := s.client.Update(ctx, secret, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
				return "", false, fmt.Errorf("renew pairing record %s: %w", secret.Name, err)
			}
			return lookupID, false, nil
		}
	}
	return "", false, fmt.Errorf("no free lookup id for code %s/%s after %d draws", code.Namespace, code.Name, lookupDraws)
}

// lookupIDOf derives the lookup ids of a code from its UID, which is random. An attempt after a
// crash therefore finds the record of the previous attempt, and the ids need no bookkeeping.
func lookupIDOf(uid types.UID, attempt int) (string, error) {
	sum := sha256.Sum256([]byte("mooring lookup id v1 " + strconv.Itoa(attempt) + " " + string(uid)))
	return pairing.NewLookupID(bytes.NewReader(sum[:]))
}

func (s codeSecrets) newRecord(code *v1alpha1.PairingCode, lookupID, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.records.namespace,
			Name:      v1alpha1.PairingRecordName(lookupID),
			Labels:    map[string]string{v1alpha1.LabelNamespace: code.Namespace},
		},
		Type: v1alpha1.SecretTypePairingRecord,
		Data: map[string][]byte{
			v1alpha1.RecordKeyScalar:    pairing.PasswordScalar(lookupID, password),
			v1alpha1.RecordKeyNamespace: []byte(code.Namespace),
			v1alpha1.RecordKeyCodeName:  []byte(code.Name),
			v1alpha1.RecordKeyCodeUID:   []byte(code.UID),
			v1alpha1.RecordKeyMethod:    []byte(code.Spec.Method),
			v1alpha1.RecordKeyTriesUsed: []byte("0"),
			v1alpha1.RecordKeyExpires:   []byte(codeExpiry(code).UTC().Format(time.RFC3339)),
		},
	}
}

// userSecretData returns the content of the Secret for people.
func (s codeSecrets) userSecretData(ctx context.Context, method v1alpha1.PairingMethod, lookupID, password string) (map[string][]byte, error) {
	data := map[string][]byte{}
	if s.endpoint != "" {
		data[v1alpha1.SecretKeyAddress] = []byte(s.endpoint)
	}
	if method != v1alpha1.PairingMethodQR {
		data[v1alpha1.SecretKeyCode] = []byte(pairing.Code{LookupID: lookupID, PIN: password}.String())
		return data, nil
	}
	bundle, err := s.serverCA(ctx)
	if err != nil {
		return nil, err
	}
	// The first certificate is the CA in use; the others belong to a rotation.
	pin := identity.FingerprintSPKIDER(bundle.Certificates()[0].RawSubjectPublicKeyInfo)
	invitation := pairing.Invitation{Gateway: s.endpoint, LookupID: lookupID, Secret: password, CASHA256: pin}
	data[v1alpha1.SecretKeyURI] = []byte(invitation.String())
	return data, nil
}

// createUserSecret stores the Secret for people. The controller cannot read it, so it deletes and
// recreates an existing one, which is left from an attempt whose password is lost.
func (s codeSecrets) createUserSecret(ctx context.Context, code *v1alpha1.PairingCode, lookupID string, data map[string][]byte) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       code.Namespace,
			Name:            userSecretName(lookupID),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(code, v1alpha1.GroupVersion.WithKind("PairingCode"))},
		},
		Type: v1alpha1.SecretTypePairingCode,
		Data: data,
	}
	err := s.createSecret(ctx, secret)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := s.deleteSecret(ctx, secret); err != nil {
		return err
	}
	return s.createSecret(ctx, secret)
}

func (s codeSecrets) createSecret(ctx context.Context, secret *corev1.Secret) error {
	write := func(ctx context.Context, object client.Object, options ...client.CreateOption) error {
		if err := s.client.Create(ctx, object, append(options, client.FieldOwner(v1alpha1.FieldManagerController))...); err != nil {
			return fmt.Errorf("create secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
		return nil
	}
	if err := write(ctx, secret.DeepCopy()); err != nil {
		return &failedWriteError{err, func(ctx context.Context, _ *v1alpha1.PairingCode) error {
			return write(ctx, secret.DeepCopy(), client.DryRunAll)
		}}
	}
	return nil
}

func (s codeSecrets) deleteSecret(ctx context.Context, secret *corev1.Secret) error {
	write := func(ctx context.Context, options ...client.DeleteOption) error {
		if err := s.client.Delete(ctx, secret.DeepCopy(), options...); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the outdated secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
		return nil
	}
	if err := write(ctx); err != nil {
		return &failedWriteError{err, func(ctx context.Context, _ *v1alpha1.PairingCode) error { return write(ctx, client.DryRunAll) }}
	}
	return nil
}

// userSecretName returns a name that is short whatever the name of the code.
func userSecretName(lookupID string) string {
	return "pairing-code-" + strings.ToLower(lookupID)
}
