package gateway

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

func TestAnOccupiedPortIsAClearError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, occupy := range map[string]func(*Options){
		"--pairing-bind-address": func(o *Options) { o.PairingAddress = taken.Addr().String() },
		"--node-bind-address":    func(o *Options) { o.NodeAddress = taken.Addr().String() },
	} {
		r := prepareGateway(t, func(_ *testGateway, o *Options) { occupy(o) })
		err := r.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), flag+" "+taken.Addr().String()) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("got %v, want an error that names %s and its use", err, flag)
		}
	}
}

func TestNothingIsServedBeforeTrustAndCertificateAreThere(t *testing.T) {
	ca, devices := identitytest.NewAuthority(t, "server-ca"), identitytest.NewAuthority(t, "device-ca")
	trust, dir := NewTrust(logr.Discard()), t.TempDir()
	r := prepareGateway(t, func(r *testGateway, o *Options) {
		r.serverCA, r.deviceCA = ca, devices
		o.Trust, o.TLSDir = trust, dir
	})
	r.run(t)
	checkFailsWith := func(text string) func() bool {
		return func() bool { err := r.Check(nil); return err != nil && strings.Contains(err.Error(), text) }
	}
	soon.True(t, "readiness asks for trust and files", func() bool {
		return checkFailsWith("mooring-trust does not exist")() && checkFailsWith("holds no tls.crt")()
	})
	trust.Update(trustConfig(ca.PEM(), "nonsense"))
	soon.True(t, "readiness names the bad bundle", checkFailsWith("device-ca.crt"))
	trust.Update(trustConfig(ca.PEM(), devices.PEM()))
	soon.True(t, "readiness asks for files", checkFailsWith("holds no tls.crt"))
	if r.serving.Load() {
		t.Fatal("the listeners serve without a certificate")
	}
	ca.WriteServerCertificate(t, dir)
	soon.True(t, "the gateway is ready", func() bool { return r.Check(nil) == nil })
	if _, err := r.nodeClient(t, devices.IssueDeviceTLS(t, robot)).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Error(err)
	}
}

func TestABadTrustBundleNeverReplacesAGoodOne(t *testing.T) {
	r := startGateway(t)
	r.trust.Update(trustConfig("", ""))
	if r.Check(nil) == nil {
		t.Error("ready with a bad trust bundle")
	}
	if _, err := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot)).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("a good machine is refused: %v", err)
	}
}

func TestANewDeviceCAIsTrustedWithoutARestart(t *testing.T) {
	r := startGateway(t)
	next := identitytest.NewAuthority(t, "device-ca-2")
	r.trust.Update(trustConfig(r.serverCA.PEM(), r.deviceCA.PEM()+next.PEM()))
	for _, ca := range []*identitytest.Authority{r.deviceCA, next} {
		if _, err := r.nodeClient(t, ca.IssueDeviceTLS(t, robot)).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
			t.Errorf("machine of %s: %v", ca.Certificate.Subject, err)
		}
	}
}

func TestStoppingDrainsFirstAndLetsCallsEnd(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	drained := false
	r := startGateway(t, func(r *testGateway, o *Options) {
		r.node.register = func(context.Context) error {
			close(entered)
			<-leave
			return nil
		}
		o.Drain = func(context.Context) {
			drained = true
			close(leave)
		}
	})
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	answered := make(chan error, 1)
	go func() {
		_, err := client.RegisterNode(context.Background(), &gatewayv1.RegisterNodeRequest{})
		answered <- err
	}()
	<-entered
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil || !drained {
		t.Errorf("a call during shutdown: %v (drained: %v), want an answer", err, drained)
	}
	if err := r.Check(nil); err == nil {
		t.Error("still ready after the end")
	}
}
