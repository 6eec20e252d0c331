package plugin_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/eventually"
)

// completeCode does the controller's work for the only code of a namespace.
func completeCode(t *testing.T, ns string, data map[string]string) *v1alpha1.PairingCode {
	t.Helper()
	var list v1alpha1.PairingCodeList
	eventually.True(t, "see the PairingCode", func() bool {
		return sharedCluster.Client().List(t.Context(), &list, client.InNamespace(ns)) == nil && len(list.Items) == 1
	})
	code := &list.Items[0]
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: code.Name}, Type: v1alpha1.SecretTypePairingCode, StringData: data,
	})
	expires := metav1.NewTime(time.Now().Add(time.Duration(code.Spec.TTLSeconds) * time.Second).Truncate(time.Second))
	code.Status = v1alpha1.PairingCodeStatus{Phase: v1alpha1.PairingCodeActive, LookupID: "K7QX2M", SecretName: code.Name, ExpiresTime: &expires}
	if err := sharedCluster.Client().Status().Update(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	return code
}

var pinSecret = map[string]string{v1alpha1.SecretKeyCode: "K7QX2M-482913", v1alpha1.SecretKeyAddress: "gw.example:7443"}

func TestAnIssuerGetsACodeToReadOut(t *testing.T) {
	ns := newFleet(t)
	p := start(t, ida, ns, nil, "code", "--name", "press-3", "--label", "hall=b", "--capability", "echo,system.*", "--ttl", "5m")
	code := completeCode(t, ns, pinSecret)
	p.wantExit(0, "Pairing code:  K7QX2M-482913", "Gateway:       gw.example:7443", " UTC (in 4m",
		"mooring-agent run --pairing gw.example:7443 --code K7QX2M-482913\n")
	want := v1alpha1.PairingCodeSpec{
		Method: v1alpha1.PairingMethodPIN, TTLSeconds: 300, NodeName: "press-3", IssuedBy: ida,
		NodeLabels: map[string]v1alpha1.NodeLabelValue{"hall": "b"}, Capabilities: []string{"echo", "system.*"},
	}
	if diff := cmp.Diff(want, code.Spec); diff != "" {
		t.Errorf("spec -want +got:\n%s", diff)
	}
}

func TestAScriptGetsACodeAsJSON(t *testing.T) {
	ns := newFleet(t)
	p := start(t, ida, ns, nil, "code", "-o", "json")
	code := completeCode(t, ns, pinSecret)
	p.wantExit(0)
	var got struct{ Name, Code, Address, ExpiresTime, Command string }
	p.decode(&got)
	if got.Name != code.Name || got.Code != "K7QX2M-482913" || got.Address != "gw.example:7443" ||
		got.ExpiresTime != code.Status.ExpiresTime.UTC().Format(time.RFC3339) || got.Command == "" {
		t.Errorf("got %+v", got)
	}
}

func TestWhoMayNotReadCodesLearnsItAndCanWithdraw(t *testing.T) {
	ns := newFleet(t)
	p := start(t, ilse, ns, nil, "code")
	code := completeCode(t, ns, pinSecret)
	p.wantExit(1, "err:a Role with verb get on secrets", "err:kubectl delete pcode "+code.Name+" -n "+ns)
}

func TestWhoMayNotIssueLearnsWhichRoleIsMissing(t *testing.T) {
	ns := newFleet(t)
	run(t, ada, ns, "code").wantExit(1, "err:cannot create resource", "err:ClusterRole mooring-pairing-issuer")
}

func TestACodeThatTheClusterRefusesSaysWhy(t *testing.T) {
	ns := newFleet(t)
	run(t, ida, ns, "code", "--capability", "NOT VALID").wantExit(1, "err:spec.capabilities")
}
