package threats_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// methodsOf returns all methods of a service from its description, so that a new method is tested
// automatically.
func methodsOf(service grpc.ServiceDesc) []string {
	var names []string
	for _, method := range service.Methods {
		names = append(names, "/"+service.ServiceName+"/"+method.MethodName)
	}
	for _, stream := range service.Streams {
		names = append(names, "/"+service.ServiceName+"/"+stream.StreamName)
	}
	return names
}

// callMethod sends an empty message to a method of any kind and returns the code of the answer. On the
// wire a unary call is a stream of one message.
func (f *fleet) callMethod(connection *grpc.ClientConn, method string) codes.Code {
	f.Helper()
	stream, err := connection.NewStream(f.BoundedContext(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err == nil {
		err = errors.Join(stream.SendMsg(&emptypb.Empty{}), stream.CloseSend())
	}
	if err == nil || errors.Is(err, io.EOF) { // a call that failed before it was sent has its reason in the answer
		err = stream.RecvMsg(&emptypb.Empty{})
	}
	return status.Code(err)
}

// dialInsecure connects with a TLS configuration that trusts every server.
func (f *fleet) dialInsecure(address string, certificates ...tls.Certificate) *grpc.ClientConn {
	f.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: certificates} //nolint:gosec // an attacker does not mind
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { connection.Close() })
	return connection
}

// The test calls every method of every service, from both sides that must not reach it.
func TestEveryCallByNobodyIsRefused(t *testing.T) {
	f := newFleet(t)
	node, pairing := methodsOf(gatewayv1.NodeService_ServiceDesc), methodsOf(gatewayv1.PairingService_ServiceDesc)
	if len(node) < 6 || len(pairing) < 4 {
		t.Fatalf("only %v and %v were found", node, pairing)
	}
	unpinned := f.signForeignCertificate(identity.ID{TrustDomain: trustDomain, Namespace: f.Namespace, Node: "nobody"})
	before := f.refusalCount("node", "NoCertificate")
	for _, try := range []struct {
		name       string
		connection *grpc.ClientConn
		methods    []string
		want       codes.Code
	}{
		{"without a certificate", f.dialInsecure(system.NodeEndpoint), node, codes.Unavailable},
		{"signed, but without a pin", f.dialInsecure(system.NodeEndpoint, unpinned.TLSCertificate()), node, codes.PermissionDenied},
		{"on the other listener", f.dialInsecure(system.PairingEndpoint), node, codes.Unimplemented},
		{"pairing, on the other listener", f.dialInsecure(system.NodeEndpoint, unpinned.TLSCertificate()), pairing, codes.Unimplemented},
		{"a method that does not exist", f.dialInsecure(system.NodeEndpoint, unpinned.TLSCertificate()), []string{"/mooring.gateway.v1.NodeService/Reboot"}, codes.Unimplemented},
		{"reflection", f.dialInsecure(system.PairingEndpoint), []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}, codes.Unimplemented},
	} {
		t.Run(try.name, func(t *testing.T) {
			g := f.inSubtest(t)
			for _, method := range try.methods {
				if got := g.callMethod(try.connection, method); got != try.want {
					t.Errorf("%s: %s, want %s", method, got, try.want)
				}
			}
		})
	}
	f.Eventually("the handshakes without a certificate to be counted", func() bool { return f.refusalCount("node", "NoCertificate") > before })
}

// refusalCount returns how often a listener of the gateway refused for a reason.
func (f *fleet) refusalCount(listener, reason string) float64 {
	f.Helper()
	return f.metricSum(fmt.Sprintf("mooring_gateway_refused_total{listener=%q,reason=%q}", listener, reason))
}

// metricSum returns the sum of the gateway's series that begin with the given text; 0 without any.
func (f *fleet) metricSum(series string) float64 {
	f.Helper()
	sum := 0.0
	for line := range strings.Lines(string(f.fetchPage(http.DefaultClient, "http://"+metrics["gateway"]+"/metrics"))) {
		if !strings.HasPrefix(line, series) {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
			f.Fatalf("read %q: %v", line, err)
		}
		sum += value
	}
	return sum
}

// A message of 10 MiB ends its call; the connection and other calls continue.
func TestGiantMessagesEndTheirCallAlone(t *testing.T) {
	f := newFleet(t)
	f.Pair("honest")
	stranger := gatewayv1.NewPairingServiceClient(f.dialInsecure(system.PairingEndpoint))
	_, err := stranger.BeginPairingSession(f.BoundedContext(), &gatewayv1.BeginPairingSessionRequest{LookupId: "ZZZZZZ", Share: make([]byte, 10<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("pairing listener: %v, want ResourceExhausted", err)
	}
	m := f.connect(f.stealIdentity("hostile"))
	_, err = m.client.RotateDeviceCertificate(f.BoundedContext(), &gatewayv1.RotateDeviceCertificateRequest{Csr: make([]byte, 10<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("node listener: %v, want ResourceExhausted", err)
	}
	if err := m.register(); err != nil {
		t.Errorf("the same connection afterwards: %v", err)
	}
	f.CheckEcho("honest")
}
