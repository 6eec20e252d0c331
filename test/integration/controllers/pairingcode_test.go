package controllers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// newCode creates a PairingCode and waits until it can be used.
func newCode(t *testing.T, namespace string, spec v1alpha1.PairingCodeSpec) *v1alpha1.PairingCode {
	t.Helper()
	code := createCode(t, namespace, spec)
	return waitForObject(t, "the code is active", code, inPhase(v1alpha1.PairingCodeActive))
}

func createCode(t *testing.T, namespace string, spec v1alpha1.PairingCodeSpec) *v1alpha1.PairingCode {
	t.Helper()
	code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "code-"}, Spec: spec}
	if err := shared.Client().Create(t.Context(), code); err != nil {
		t.Fatalf("create a code: %v", err)
	}
	return code
}

func inPhase(phase v1alpha1.PairingCodePhase) func(*v1alpha1.PairingCode) error {
	return func(code *v1alpha1.PairingCode) error {
		if code.Status.Phase != phase {
			return fmt.Errorf("phase is %q, want %q: %+v", code.Status.Phase, phase, code.Status.Conditions)
		}
		return nil
	}
}

func recordOf(code *v1alpha1.PairingCode) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.PairingNamespace, Name: v1alpha1.PairingRecordName(code.Status.LookupID),
	}}
}

func userSecret(code *v1alpha1.PairingCode) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: code.Namespace, Name: code.Status.SecretName}}
}

// updateRecordAsGateway changes the record of a code with the rights of a gateway.
func updateRecordAsGateway(t *testing.T, code *v1alpha1.PairingCode, values map[string]string) {
	t.Helper()
	secret := get(t, recordOf(code))
	for key, value := range values {
		secret.Data[key] = []byte(value)
	}
	if err := gatewayClient(t).Update(t.Context(), secret); err != nil {
		t.Fatalf("update the record: %v", err)
	}
}

func gatewayClient(t *testing.T) client.Client {
	t.Helper()
	config, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	return shared.ClientFor(t, config)
}

func waitForDeletion(t *testing.T, what string, object client.Object) {
	t.Helper()
	patient.Succeeds(t, what, func(ctx context.Context) error {
		err := shared.Client().Get(ctx, client.ObjectKeyFromObject(object), object)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("%s still exists", object.GetName()), err)
	})
}

func TestPINCodeGetsTwoSecretsThatFitEachOther(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	people, record := get(t, userSecret(code)), get(t, recordOf(code))

	typed, err := pairing.ParseCode(string(people.Data[v1alpha1.SecretKeyCode]))
	if err != nil {
		t.Fatal(err)
	}
	if typed.LookupID != code.Status.LookupID {
		t.Errorf("the Secret for people has lookup id %s, the status %s", typed.LookupID, code.Status.LookupID)
	}
	if got := string(people.Data[v1alpha1.SecretKeyAddress]); got != pairingEndpoint {
		t.Errorf("address is %q, want %q", got, pairingEndpoint)
	}
	if people.Type != v1alpha1.SecretTypePairingCode || !metav1.IsControlledBy(people, code) {
		t.Errorf("the Secret for people is of type %s, owned by %v", people.Type, people.OwnerReferences)
	}
	if want := pairing.PasswordScalar(typed.LookupID, typed.PIN); !bytes.Equal(record.Data[v1alpha1.RecordKeyScalar], want) {
		t.Error("the record does not admit the code in the Secret for people")
	}
	for key, want := range map[string]string{
		v1alpha1.RecordKeyNamespace: code.Namespace, v1alpha1.RecordKeyCodeName: code.Name, v1alpha1.RecordKeyCodeUID: string(code.UID),
		v1alpha1.RecordKeyMethod: "PIN", v1alpha1.RecordKeyTriesUsed: "0",
		v1alpha1.RecordKeyExpires: code.Status.ExpiresTime.UTC().Format("2006-01-02T15:04:05Z"),
	} {
		if got := string(record.Data[key]); got != want {
			t.Errorf("the record has %s=%q, want %q", key, got, want)
		}
	}
	if ttl := code.Status.ExpiresTime.Sub(code.CreationTimestamp.Time).Seconds(); ttl != 600 {
		t.Errorf("the code expires after %v s, want the default of 600", ttl)
	}
	if strings.Contains(fmt.Sprintf("%+v", code), typed.PIN) {
		t.Error("the PIN is in the PairingCode")
	}
	if !meta.IsStatusConditionTrue(code.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("not Ready: %+v", code.Status.Conditions)
	}
}

func TestQRCodeCarriesThePinOfTheServerCA(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR})
	people, record := get(t, userSecret(code)), get(t, recordOf(code))
	invitation, err := pairing.ParseURI(string(people.Data[v1alpha1.SecretKeyURI]))
	if err != nil {
		t.Fatal(err)
	}
	want := pairing.Invitation{
		Gateway: pairingEndpoint, LookupID: code.Status.LookupID, Secret: invitation.Secret, CASHA256: caPin(t, v1alpha1.ServerIssuer),
	}
	if invitation != want {
		t.Errorf("the QR says gateway %s, code %s, CA %s; want %s, %s, %s", invitation.Gateway, invitation.LookupID, invitation.CASHA256,
			want.Gateway, want.LookupID, want.CASHA256)
	}
	if !bytes.Equal(record.Data[v1alpha1.RecordKeyScalar], pairing.PasswordScalar(invitation.LookupID, invitation.Secret)) {
		t.Error("the record does not admit the secret of the QR")
	}
}

func TestWrongGuessesAreMirroredAndBurnTheCode(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	updateRecordAsGateway(t, code, map[string]string{v1alpha1.RecordKeyTriesUsed: "1"})
	waitForObject(t, "a wrong guess is counted", code, func(code *v1alpha1.PairingCode) error {
		if left := code.Status.AttemptsLeft; left == nil || *left != 2 {
			return fmt.Errorf("attemptsLeft is %v, want 2", left)
		}
		return nil
	})
	updateRecordAsGateway(t, code, map[string]string{v1alpha1.RecordKeyTriesUsed: "3"})
	waitForObject(t, "the code is burnt", code, inPhase(v1alpha1.PairingCodeBurnt))
	if *code.Status.AttemptsLeft != 0 {
		t.Errorf("attemptsLeft is %d, want 0", *code.Status.AttemptsLeft)
	}
	waitForDeletion(t, "the record of a burnt code goes", recordOf(code))
	waitForEvent(t, code, v1alpha1.ReasonCodeBurnt)
}

func TestRightThirdGuessUsesTheCodeInsteadOfBurningIt(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	updateRecordAsGateway(t, code, map[string]string{v1alpha1.RecordKeyTriesUsed: "3"}) // the third try is being verified
	updateRecordAsGateway(t, code, map[string]string{
		v1alpha1.RecordKeyTriesUsed: "2", v1alpha1.RecordKeyConsumedBy: strings.Repeat("ab", 32), v1alpha1.RecordKeyRequestName: "box-abababab-x",
	})
	waitForObject(t, "the code is used", code, inPhase(v1alpha1.PairingCodeUsed))
	if code.Status.UsedBy != "box-abababab-x" {
		t.Errorf("usedBy is %q", code.Status.UsedBy)
	}
	get(t, recordOf(code)) // still needed: its request is not terminal
}

func TestUnusedCodeExpires(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, TTLSeconds: 30})
	waitForObject(t, "the code is expired", code, inPhase(v1alpha1.PairingCodeExpired))
	waitForDeletion(t, "the record of an expired code goes", recordOf(code))
	waitForEvent(t, code, v1alpha1.ReasonCodeExpired)
}

func TestDeletingACodeDeletesItsSecrets(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	record, people := recordOf(code), userSecret(code)
	if err := shared.Client().Delete(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	waitForDeletion(t, "the code goes", code)
	waitForDeletion(t, "its record goes", record)
	waitForDeletion(t, "its Secret for people goes", people)
}

func TestHalfMadePairIsMadeAnew(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	old := get(t, userSecret(code))
	clearPhase(t, code) // as if the controller had crashed before it wrote the status
	waitForObject(t, "the code is active again", code, inPhase(v1alpha1.PairingCodeActive))
	people, record := get(t, userSecret(code)), get(t, recordOf(code))
	if people.UID == old.UID {
		t.Error("the Secret for people still has the old password, which does not match the record")
	}
	typed, err := pairing.ParseCode(string(people.Data[v1alpha1.SecretKeyCode]))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(record.Data[v1alpha1.RecordKeyScalar], pairing.PasswordScalar(typed.LookupID, typed.PIN)) {
		t.Error("the record does not admit the new code")
	}
}

func TestPairThatAMachineTriedIsKept(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	old := get(t, userSecret(code))
	updateRecordAsGateway(t, code, map[string]string{v1alpha1.RecordKeyTriesUsed: "1"})
	clearPhase(t, code)
	waitForObject(t, "the code is active again", code, inPhase(v1alpha1.PairingCodeActive))
	if people := get(t, userSecret(code)); people.UID != old.UID {
		t.Error("the code was replaced although a machine has tried it")
	}
}

func clearPhase(t *testing.T, code *v1alpha1.PairingCode) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":null}}`))
	if err := shared.Client().Status().Patch(t.Context(), code.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// caPin returns the pin of the CA of an issuer, from a Secret that the controller may not read.
func caPin(t *testing.T, secret string) string {
	t.Helper()
	stored := get(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: secret}})
	bundle, err := identity.ParseBundle(stored.Data["tls.crt"])
	if err != nil {
		t.Fatal(err)
	}
	return identity.FingerprintSPKIDER(bundle.Certificates()[0].RawSubjectPublicKeyInfo)
}

func waitForEvent(t *testing.T, about client.Object, reason string) {
	t.Helper()
	patient.Succeeds(t, "there is an event "+reason, func(ctx context.Context) error {
		var list eventsv1.EventList
		if err := shared.Client().List(ctx, &list, client.InNamespace(about.GetNamespace())); err != nil {
			return err
		}
		for _, event := range list.Items {
			if event.Regarding.UID == about.GetUID() && event.Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("none of %d events", len(list.Items))
	})
}
