package threats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"reflect"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/scriptedagent"
)

// invite creates a QR code for a Node.
func (f *fleet) invite(node string) (uri string, object *v1alpha1.PairingCode) {
	f.Helper()
	secret, object := f.IssueCode(v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, NodeName: node})
	return string(secret.Data[v1alpha1.SecretKeyURI]), object
}

// invitationCanaries returns the canaries of a QR code.
func (f *fleet) invitationCanaries(uri string, object *v1alpha1.PairingCode) []canary {
	f.Helper()
	invitation, err := pairing.ParseURI(uri)
	if err != nil {
		f.Fatal(err)
	}
	home, record := f.etcdKeys(object)
	return []canary{
		{name: "secret of the QR code", home: home, forms: secretText(invitation.Secret)},
		{name: "password scalar of the QR code", home: record, forms: secretBytes(pairing.PasswordScalar(invitation.LookupID, invitation.Secret))},
	}
}

// etcdKeys returns the etcd keys that may contain a code and its password scalar.
func (f *fleet) etcdKeys(object *v1alpha1.PairingCode) (code, record string) {
	return "/registry/secrets/" + f.Namespace + "/" + object.Status.SecretName,
		"/registry/secrets/" + v1alpha1.PairingNamespace + "/" + v1alpha1.PairingRecordName(object.Status.LookupID)
}

// exchangeAsAgent pairs a machine with a PIN. The test plays the agent, because an agent never reveals
// the session key.
func (f *fleet) exchangeAsAgent(node string) canary {
	f.Helper()
	text, object := f.IssuePIN(node)
	code, err := pairing.ParseCode(text)
	if err != nil {
		f.Fatal(err)
	}
	conn, err := grpc.NewClient("passthrough:///"+system.PairingEndpoint, grpc.WithTransportCredentials(
		credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}))) //nolint:gosec // a PIN knows no CA
	if err != nil {
		f.Fatal(err)
	}
	defer conn.Close()
	keys := f.exchange(gatewayv1.NewPairingServiceClient(conn), code, node)
	f.AwaitRequest(object.Name)
	field := reflect.ValueOf(keys).Elem().FieldByName("macKey")
	if !field.IsValid() {
		f.Fatal("pairing.Keys has no field macKey any more; name the field that holds the session key")
	}
	sessionKey := field.Bytes()
	if len(sessionKey) != 32 {
		f.Fatalf("the session key has %d bytes", len(sessionKey))
	}
	return canary{name: "session key of a pairing", forms: secretBytes(sessionKey)}
}

// exchange runs the agent's half of the pairing exchange.
func (f *fleet) exchange(client gatewayv1.PairingServiceClient, code pairing.Code, node string) *pairing.Keys {
	f.Helper()
	agent, err := pairing.NewAgent(pairing.PasswordScalar(code.LookupID, code.PIN), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	var p grpcpeer.Peer
	begun, err := client.BeginPairingSession(f.BoundedContext(), &gatewayv1.BeginPairingSessionRequest{
		LookupId: code.LookupID, Share: agent.Share(), NodeName: node,
	}, grpc.Peer(&p))
	if err != nil {
		f.Fatal(err)
	}
	exporter, err := scriptedagent.Exporter(&p)
	if err != nil {
		f.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := agent.Finish(begun.GetShare(), pairing.AAD(exporter, code.LookupID, identity.FingerprintSPKIDER(public), hex.EncodeToString(begun.GetBundleSha256())))
	if err != nil {
		f.Fatal(err)
	}
	answer, err := client.CompletePairingSession(f.BoundedContext(), &gatewayv1.CompletePairingSessionRequest{
		Evidence: &gatewayv1.CompletePairingSessionRequest_Code{Code: &gatewayv1.CodeConfirmation{
			SessionId: begun.GetSessionId(), Confirmation: keys.Confirmation(),
		}},
		PublicKey: public, Proof: f.sign(key, identity.Proof{Method: identity.ProofCompletePairing, Exporter: exporter}),
		NodeName: node, System: &gatewayv1.SystemInfo{Os: "linux", Arch: "amd64", Platform: "debian", Hostname: node},
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := keys.VerifyPeer(answer.GetConfirmation()); err != nil {
		f.Fatal(err)
	}
	return keys
}
