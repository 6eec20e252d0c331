package gateway

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/gob"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/mooring-dev/mooring/internal/identity"
)

// stormVariable makes the test program play the machines of a storm. They run in a process of their
// own: both ends of 10,000 connections need more open files than one process may have.
const stormVariable = "MOORING_TEST_STORM"

// storm describes machines that reconnect at once from one address.
type storm struct {
	Address  string
	Root     []byte // the server CA, DER
	Machines []stormMachine
}

type stormMachine struct{ Certificate, Key []byte } // DER; the key in PKCS #8

func (r *testGateway) newStorm(t *testing.T, machines int) storm {
	t.Helper()
	s := storm{Address: r.nodeAddress(), Root: r.serverCA.Certificate.Raw}
	for i := range machines {
		certificate := r.deviceCA.IssueDeviceTLS(t, machineNumber(i))
		key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey.(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		s.Machines = append(s.Machines, stormMachine{certificate.Certificate[0], key})
	}
	return s
}

// runStorm plays the machines. It prints a line for each machine that is not served, and returns
// the exit code.
func runStorm(in io.Reader, out io.Writer) int {
	var s storm
	if err := gob.NewDecoder(in).Decode(&s); err != nil {
		fmt.Fprintln(out, "read the machines:", err)
		return 1
	}
	sockets := make([]net.Conn, len(s.Machines))
	for i := range sockets {
		c, err := net.DialTimeout("tcp", s.Address, 20*time.Second)
		if err != nil {
			fmt.Fprintln(out, "dial:", err)
			return 1
		}
		sockets[i] = c
	}
	failed := make(chan error, len(sockets))
	var all sync.WaitGroup
	for i, socket := range sockets {
		all.Go(func() {
			if err := s.connect(socket, s.Machines[i]); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	code := 0
	for err := range failed {
		fmt.Fprintln(out, err)
		code = 1
	}
	return code
}

// connect completes the handshake of a machine and reads the first frame of the gateway.
func (s storm) connect(socket net.Conn, m stormMachine) error {
	roots := x509.NewCertPool()
	root, err := x509.ParseCertificate(s.Root)
	if err != nil {
		return err
	}
	roots.AddCert(root)
	key, err := x509.ParsePKCS8PrivateKey(m.Key)
	if err != nil {
		return err
	}
	// The race detector slows down the arithmetic of other curves tenfold, and both ends share the
	// processors.
	c := tls.Client(socket, &tls.Config{
		CurvePreferences: []tls.CurveID{tls.CurveP256},
		RootCAs:          roots, ServerName: identity.ServerName, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{m.Certificate}, PrivateKey: key}},
	})
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	if err := c.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if _, err := c.Read(make([]byte, 9)); err != nil {
		return fmt.Errorf("the connection is not served: %w", err)
	}
	return nil
}

// Machines that reconnect at once from one address, as after an outage behind a NAT, are all
// served. None of their connections is closed.
func TestAStormOfMachinesFromOneAddressIsServed(t *testing.T) {
	machines := 200
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		machines = 10_000
	}
	if limits := DefaultLimits(); limits.NodeConnections < 10_000 {
		t.Errorf("%d connections of one address may wait, want at least 10,000", limits.NodeConnections)
	}
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Log = logr.Discard() })
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program)
	command.Env = append(os.Environ(), stormVariable+"=1")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	stormData := r.newStorm(t, machines)
	go func() { sent <- closeAfter(in, gob.NewEncoder(in).Encode(stormData)) }()
	began := time.Now()
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("the machines: %v\n%.2000s", err, output)
	}
	t.Logf("%d machines were served in %s", machines, time.Since(began).Round(time.Millisecond))
	if err := <-sent; err != nil {
		t.Errorf("send the machines: %v", err)
	}
	for _, reason := range []string{reasonMadeRoom, reasonTooManyConnections, reasonHandshakeTimeout} {
		if closed := r.refusedCount(nodeListener, reason); closed != 0 {
			t.Errorf("%v were closed: %s", closed, reason)
		}
	}
}

// closeAfter closes c and returns err, or else the error of Close.
func closeAfter(c io.Closer, err error) error {
	if closed := c.Close(); err == nil {
		return closed
	}
	return err
}
