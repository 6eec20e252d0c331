package controllers_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

func trustMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}}
}

func trustBundle(t *testing.T, key string) identity.Bundle {
	t.Helper()
	config := waitForObject(t, "the trust bundles are written", trustMap(), func(config *corev1.ConfigMap) error {
		if config.Data[key] == "" {
			return fmt.Errorf("no %s", key)
		}
		return nil
	})
	bundle, err := identity.ParseBundle([]byte(config.Data[key]))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestTrustBundlesHoldTheCAsOfTheIssuers(t *testing.T) {
	for key, issuer := range map[string]string{
		v1alpha1.TrustServerCAKey: v1alpha1.ServerIssuer, v1alpha1.TrustDeviceCAKey: v1alpha1.DeviceIssuer,
	} {
		cas := trustBundle(t, key).Certificates()
		if len(cas) != 1 || identity.FingerprintSPKIDER(cas[0].RawSubjectPublicKeyInfo) != caPin(t, issuer) {
			t.Errorf("%s holds %d CAs, want the one of %s", key, len(cas), issuer)
		}
	}
}

func TestSpoiltTrustBundlesAreWrittenAgain(t *testing.T) {
	trustBundle(t, v1alpha1.TrustServerCAKey)
	good := get(t, trustMap())
	spoilt := good.DeepCopy()
	spoilt.Data[v1alpha1.TrustDeviceCAKey] = spoilt.Data[v1alpha1.TrustServerCAKey]
	if err := shared.Client().Update(t.Context(), spoilt); err != nil {
		t.Fatal(err)
	}
	waitForObject(t, "the bundle is as it was", trustMap(), func(config *corev1.ConfigMap) error {
		if config.Data[v1alpha1.TrustDeviceCAKey] != good.Data[v1alpha1.TrustDeviceCAKey] {
			return fmt.Errorf("it is still spoilt")
		}
		return nil
	})
	if err := shared.Client().Delete(t.Context(), trustMap()); err != nil {
		t.Fatal(err)
	}
	trustBundle(t, v1alpha1.TrustDeviceCAKey)
}
