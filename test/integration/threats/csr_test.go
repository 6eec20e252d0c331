package threats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"testing"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

var (
	oidSAN         = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtUsage    = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidCommonName  = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidUserName    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// der marshals values for which marshalling cannot fail.
func der(value any, parameters ...string) []byte {
	params := ""
	if len(parameters) > 0 {
		params = parameters[0]
	}
	out, err := asn1.MarshalWithParams(value, params)
	if err != nil {
		panic(err)
	}
	return out
}

// generalName returns one name of a SAN, with a context tag (RFC 5280, 4.2.1.6).
func generalName(tag int, constructed bool, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: constructed, Bytes: content}
}

func sanOf(names ...asn1.RawValue) pkix.Extension {
	return pkix.Extension{Id: oidSAN, Value: der(names)}
}

// excessiveRequests returns certificate requests for more than the own name of a machine, by the name of the
// excess.
func excessiveRequests(t *testing.T, own *url.URL, namespace string) map[string]x509.CertificateRequest {
	t.Helper()
	victim := *own
	victim.Path = "/ns/" + namespace + "/node/victim"
	uri := generalName(6, false, []byte(own.String()))
	otherName := generalName(0, true, append(der(oidUserName), der(generalName(0, true, der("admin", "utf8")))...))
	dirName := generalName(4, true, der(pkix.Name{CommonName: "admin"}.ToRDNSequence()))
	named := func(extra ...pkix.Extension) x509.CertificateRequest {
		return x509.CertificateRequest{ExtraExtensions: extra}
	}
	return map[string]x509.CertificateRequest{
		"another machine's URI":    {URIs: []*url.URL{&victim}},
		"two URIs":                 {URIs: []*url.URL{own, &victim}},
		"an additional DNS name":   {URIs: []*url.URL{own}, DNSNames: []string{identity.ServerName}},
		"an additional IP address": {URIs: []*url.URL{own}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		"an e-mail address":        {URIs: []*url.URL{own}, EmailAddresses: []string{"a@b.example"}},
		"a common name":            {URIs: []*url.URL{own}, Subject: pkix.Name{CommonName: "hostile"}},
		"a common name twice":      {URIs: []*url.URL{own}, RawSubject: der(pkix.RDNSequence{{{Type: oidCommonName, Value: "hostile"}}, {{Type: oidCommonName, Value: "admin"}}})},
		"otherName":                named(sanOf(uri, otherName)),
		"dirName":                  named(sanOf(uri, dirName)),
		"registeredID":             named(sanOf(uri, generalName(8, false, []byte{0x2a, 0x03}))),
		"two SAN extensions":       named(sanOf(uri), sanOf(generalName(2, false, []byte(identity.ServerName)))),
		"the CA bit":               named(sanOf(uri), pkix.Extension{Id: oidConstraints, Critical: true, Value: der([]bool{true})}),
		"usage certSign":           named(sanOf(uri), pkix.Extension{Id: oidKeyUsage, Critical: true, Value: der(asn1.BitString{Bytes: []byte{0x04}, BitLength: 6})}),
		"usage of a server":        named(sanOf(uri), pkix.Extension{Id: oidExtUsage, Value: der([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}})}),
		"no name":                  {},
		"a foreign trust domain":   {URIs: []*url.URL{{Scheme: "spiffe", Host: "elsewhere.example", Path: own.Path}}},
	}
}

// A machine requests more than its own name over the wire, with and without a new key. The raw DER
// is checked before an issuer gets a request.
func TestRequestsForMoreThanTheOwnNameAreRefused(t *testing.T) {
	f := newFleet(t)
	// A machine's budget is 16 calls at once: three machines share the rows, with two calls each.
	var machines []*machine
	var rows []map[string]x509.CertificateRequest
	for i := range 3 {
		m := f.connect(f.stealIdentity(fmt.Sprintf("hostile-%d", i)))
		own, err := url.Parse(m.ID.URI())
		if err != nil {
			t.Fatal(err)
		}
		machines, rows = append(machines, m), append(rows, excessiveRequests(t, own, f.Namespace))
	}
	for i, name := range slices.Sorted(maps.Keys(rows[0])) {
		t.Run(name, func(t *testing.T) {
			m, template := machines[i%len(machines)], rows[i%len(machines)][name]
			g := m.machineInSubtest(t)
			g.checkCSRRefused(&template, m.Key, nil)
			next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			g.checkCSRRefused(&template, next, m.Key)
		})
	}
	for i := range machines {
		node := f.GetNode(fmt.Sprintf("hostile-%d", i))
		if node.Status.CertificateRequest != nil && node.Status.Issued != nil && node.Status.CertificateRequest.Purpose != v1alpha1.CertificateInitial {
			t.Errorf("a request reached the Node: %+v", node.Status.CertificateRequest)
		}
		if node.Spec.NextPublicKeySHA256 != "" || len(node.Status.CertificateHistory) != 1 {
			t.Errorf("a certificate was issued: %+v", node.Status.CertificateHistory)
		}
	}
	var orders cmapi.CertificateRequestList
	if err := certManager(t).List(t.Context(), &orders, client.InNamespace(v1alpha1.SystemNamespace), client.MatchingLabels{v1alpha1.LabelNamespace: f.Namespace}); err != nil || len(orders.Items) != 0 {
		t.Errorf("%d CertificateRequests were made: %v", len(orders.Items), err)
	}
}

// checkCSRRefused sends a request that is signed with key. With a pinned key the request is a rotation
// that the pinned key signs.
func (m *machine) checkCSRRefused(template *x509.CertificateRequest, key, pinned *ecdsa.PrivateKey) {
	m.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		m.Fatal(err)
	}
	request := &gatewayv1.RotateDeviceCertificateRequest{Csr: csr}
	if pinned != nil {
		exporter := m.exporterOf(func(o ...grpc.CallOption) { _, _ = m.client.RegisterNode(m.BoundedContext(), newRegistration(), o...) })
		request.Proof = m.sign(pinned, identity.Proof{Method: identity.ProofRotate, Exporter: exporter, CSR: csr})
	}
	_, err = m.client.RotateDeviceCertificate(m.BoundedContext(), request)
	m.checkCode(err, codes.InvalidArgument)
}
