package sim

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// newCAKeySigner returns a signer that uses the key of the device CA. cert-manager keeps the key pair in
// the Secret that has the name of the Issuer.
func (f *Fleet) newCAKeySigner(ctx context.Context) (signer, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.DeviceIssuer}
	if err := f.Client.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("read the device CA: %w", err)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("read the key pair of the device CA: %w", err)
	}
	return func(_ context.Context, name string, device *ecdsa.PrivateKey) ([]*x509.Certificate, error) {
		id := identity.ID{TrustDomain: f.TrustDomain, Namespace: f.Namespace, Node: name}
		return signLeaf(pair.Leaf, pair.PrivateKey, id, &device.PublicKey)
	}, nil
}

// signLeaf signs a device certificate like cert-manager's, valid for a day.
func signLeaf(parent *x509.Certificate, key crypto.PrivateKey, id identity.ID, device *ecdsa.PublicKey) ([]*x509.Certificate, error) {
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, URIs: []*url.URL{uri}, BasicConstraintsValid: true,
		NotBefore: now.Truncate(time.Second), NotAfter: now.Add(24 * time.Hour).Truncate(time.Second),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parent, device, key)
	if err != nil {
		return nil, err
	}
	return identity.ParseChain([][]byte{der})
}
