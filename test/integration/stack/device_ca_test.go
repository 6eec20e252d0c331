package stack_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// cert-manager creates another CA under the name of the CA whose Secret was deleted.
func TestADeletedDeviceCAIsRecognisedAndMachinesKeepRunning(t *testing.T) {
	f := newFleet(t)
	f.Pair("kiosk")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.DeviceIssuer}}
	good := testfleet.Read(f, secret).DeepCopy()
	trusted := f.bundle(v1alpha1.TrustDeviceCAKey).SHA256()
	if err := system.Client.Delete(t.Context(), secret.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	f.Eventually("another CA under the same name", func() bool {
		err := system.Client.Get(t.Context(), client.ObjectKeyFromObject(good), secret)
		return err == nil && len(secret.Data["tls.crt"]) > 0 && string(secret.Data["tls.crt"]) != string(good.Data["tls.crt"])
	})
	restartController(f) // its start makes it ask the issuers for their CAs
	f.awaitTrustEvent(v1alpha1.ReasonCAReplaced, "its Secret was deleted or replaced")
	if got := f.bundle(v1alpha1.TrustDeviceCAKey).SHA256(); got != trusted {
		t.Errorf("the device bundle is %s, was %s", got, trusted)
	}
	f.RestartGateway()
	f.CheckEcho("kiosk")

	agent, request := f.StartPairing("newcomer")
	f.Approve(request.Name)
	testfleet.Await(f, "newcomer", &v1alpha1.Node{}, "with the reason of its missing certificate", func(n *v1alpha1.Node) bool {
		valid := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionCertificateValid)
		return valid != nil && valid.Reason == v1alpha1.ReasonCertificateRefused && strings.Contains(valid.Message, "the Secret of the device CA was deleted or replaced")
	})
	if err := agent.WaitFor(f.BoundedContext(), "the Secret of the device CA was deleted or replaced"); err != nil {
		t.Error(err)
	}
	testfleet.Read(f, secret)
	secret.Data = good.Data
	if err := system.Client.Update(f.Context(), secret); err != nil {
		f.Fatal(err)
	}
	f.AwaitOnline("newcomer")
	f.awaitTrustEvent(v1alpha1.ReasonCARestored, "signs with the CA of device-ca.crt again")
	f.CheckEcho("kiosk")
}

// awaitTrustEvent waits for an Event of ConfigMap mooring-trust.
func (f *fleet) awaitTrustEvent(reason, text string) {
	f.Helper()
	f.Eventually("an Event "+reason, func() bool {
		var list eventsv1.EventList
		if err := system.Client.List(f.Context(), &list, client.InNamespace(v1alpha1.SystemNamespace)); err != nil {
			return false
		}
		for _, event := range list.Items {
			if event.Regarding.Name == v1alpha1.TrustConfigMap && event.Reason == reason && strings.Contains(event.Note, text) {
				return true
			}
		}
		return false
	})
}
