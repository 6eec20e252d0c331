package stack_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Both CAs are replaced while dispatches run, in the steps of docs/how-to/rotate-cas.md, and no
// dispatch fails. A machine that was away all the time and trusts only the old CA comes back.
func TestBothCAsAreReplacedUnderTraffic(t *testing.T) {
	f := newFleet(t)
	short := "--certificate-duration=" + lifetime.String()
	restartController(f, short)
	f.Pair("away").Stop()
	f.Pair("kiosk")
	var asked []*v1alpha1.CapabilityDispatch
	traffic := func() {
		for i := range 5 {
			asked = append(asked, f.CreateDispatch("kiosk", "echo", map[string]any{"n": i}))
		}
	}

	f.apply(fmt.Sprintf(authorities, "mooring-server-ca-2"), fmt.Sprintf(authorities, "mooring-device-ca-2"))
	traffic()
	restartController(f, short, "--previous-server-issuer=mooring-server-ca-2", "--previous-device-issuer=mooring-device-ca-2")
	traffic()
	f.awaitBundle("kiosk", 2)

	f.keepPreviousChain()
	f.kubectl("", "patch", "certificate", "-n", v1alpha1.SystemNamespace, "mooring-gateway", "--type=merge",
		"-p", `{"spec":{"issuerRef":{"name":"mooring-server-ca-2"}}}`)
	// The remaining tests of this package use the new CAs.
	system.ControllerArgs = append(system.ControllerArgs, "--server-issuer=mooring-server-ca-2", "--device-issuer=mooring-device-ca-2")
	traffic()
	restartController(f, short, "--previous-server-issuer=mooring-server-ca", "--previous-device-issuer=mooring-device-ca")
	f.Eventually("the gateway's new chain to be there", func() bool {
		return f.fileSignedBy(0, filepath.Join(system.Gateways[0].TLSDir, "current", "tls.crt"))
	})
	traffic()
	f.RestartGateway() // it takes the new chain at once, not when the chain is ten minutes old
	traffic()
	f.awaitBundle("kiosk", 2)
	f.Eventually("a device certificate of the new CA in use", func() bool {
		var n v1alpha1.Node
		if system.Client.Get(t.Context(), f.ObjectKey("kiosk"), &n) != nil || n.Status.Issued == nil || n.Status.Certificate == nil {
			return false
		}
		return n.Status.Certificate.FingerprintSHA256 == n.Status.CertificateHistory[0].FingerprintSHA256 &&
			f.bundleSigned(v1alpha1.TrustDeviceCAKey, 0, []byte(n.Status.Issued.Chain))
	})
	f.StartAgent("away")
	f.awaitBundle("away", 2)
	f.CheckEcho("away")

	traffic()
	restartController(f, "--certificate-duration=24h") // the old CAs are dropped
	f.awaitBundle("kiosk", 1)
	traffic()
	for _, d := range asked {
		if d = f.AwaitEnded(d); d.Status.Phase != v1alpha1.DispatchSucceeded {
			t.Errorf("a dispatch ended %+v", d.Status)
		}
	}
	t.Logf("%d dispatches", len(asked))
}

// authorities is the manifest of a CA and its Issuer of the same name.
const authorities = `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: %[1]s, namespace: mooring-system}
spec:
  commonName: %[1]s
  isCA: true
  duration: 87600h
  secretName: %[1]s
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Never}
  issuerRef: {group: cert-manager.io, kind: Issuer, name: mooring-selfsigned}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: %[1]s, namespace: mooring-system}
spec:
  ca: {secretName: %[1]s}
`

func (f *fleet) apply(manifests ...string) {
	f.Helper()
	f.kubectl(strings.Join(manifests, "---"), "apply", "-f", "-")
}

func (f *fleet) kubectl(input string, args ...string) {
	f.Helper()
	if out, err := system.KubectlInput(f.BoundedContext(), stack.Admin, input, args...); err != nil {
		f.Fatalf("kubectl %v: %v: %s", args, err, out)
	}
}

// bundle returns the CAs of one key of ConfigMap mooring-trust.
func (f *fleet) bundle(key string) identity.Bundle {
	var config corev1.ConfigMap
	name := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}
	if err := system.Client.Get(f.Context(), name, &config); err != nil {
		return identity.Bundle{}
	}
	bundle, _ := identity.ParseBundle([]byte(config.Data[key])) // the callers wait for a bundle that is not empty
	return bundle
}

// awaitBundle waits until the server bundle has that many CAs and the Online machine reports that
// bundle.
func (f *fleet) awaitBundle(name string, cas int) {
	f.Helper()
	f.Eventually(fmt.Sprintf("%s to have %d server CAs", name, cas), func() bool {
		var n v1alpha1.Node
		bundle := f.bundle(v1alpha1.TrustServerCAKey)
		return len(bundle.Certificates()) == cas && system.Client.Get(f.Context(), f.ObjectKey(name), &n) == nil &&
			n.Status.TrustBundleSHA256 == bundle.SHA256() && n.Status.Presence == v1alpha1.PresenceOnline
	})
}

// bundleSigned reports whether CA number i of a bundle signed the first certificate of the chain.
func (f *fleet) bundleSigned(key string, i int, chain []byte) bool {
	block, _ := pem.Decode(chain)
	cas := f.bundle(key).Certificates()
	if block == nil || len(cas) <= i {
		return false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return err == nil && leaf.CheckSignatureFrom(cas[i]) == nil
}

func (f *fleet) fileSignedBy(ca int, path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && f.bundleSigned(v1alpha1.TrustServerCAKey, ca, text)
}

// keepPreviousChain copies the gateway's certificate to the place of the previous one.
func (f *fleet) keepPreviousChain() {
	f.Helper()
	dir := system.Gateways[0].TLSDir
	previous := filepath.Join(dir, "previous")
	if err := os.Mkdir(previous, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(previous) })
	for _, name := range []string{"tls.crt", "tls.key"} {
		content, err := os.ReadFile(filepath.Join(dir, "current", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(previous, name), content, 0o600)
		}
		if err != nil {
			f.Fatal(err)
		}
	}
}
