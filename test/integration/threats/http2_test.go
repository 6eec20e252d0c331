package threats_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/mooring-dev/mooring/test/testfleet"
)

// rawClient writes HTTP/2 frame by frame: a regular client would obey the limits that the server
// announces.
type rawClient struct {
	*fleet
	connection *tls.Conn
	frames     *http2.Framer
	encoder    *hpack.Encoder
	encoded    bytes.Buffer
	method     string
	refused    chan string   // the first refusal by the server
	answered   chan struct{} // receives when the server has answered a call
}

func (f *fleet) rawClient(address, method string, certificates ...tls.Certificate) *rawClient {
	f.Helper()
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 8)}},
		Config:    &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Certificates: certificates}, //nolint:gosec // an attacker does not mind
	}
	made, err := dialer.DialContext(f.BoundedContext(), "tcp", address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { made.Close() })
	connection, _ := made.(*tls.Conn)
	c := &rawClient{fleet: f, connection: connection, frames: http2.NewFramer(connection, connection), method: method, refused: make(chan string, 1), answered: make(chan struct{}, 1)}
	c.encoder = hpack.NewEncoder(&c.encoded)
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		f.Fatal(err)
	}
	if err := c.frames.WriteSettings(); err != nil {
		f.Fatal(err)
	}
	go c.read()
	return c
}

// read reads all frames of the server, so that the server never blocks, and reports the first
// refusal.
func (c *rawClient) read() {
	reportRefusal := func(what string) {
		select {
		case c.refused <- what:
		default:
		}
	}
	for {
		frame, err := c.frames.ReadFrame()
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			select {
			case c.answered <- struct{}{}:
			default:
			}
		case *http2.RSTStreamFrame:
			reportRefusal("RST_STREAM " + frame.ErrCode.String())
		case *http2.GoAwayFrame:
			reportRefusal("GOAWAY " + frame.ErrCode.String())
		}
		if err != nil {
			reportRefusal("connection closed")
			return
		}
	}
}

// headers returns the headers of a call with one more.
func (c *rawClient) headers(name, value string) []byte {
	c.encoded.Reset()
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: c.method},
		{Name: ":authority", Value: "gateway.mooring"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
		{Name: name, Value: value, Sensitive: true},
	} {
		_ = c.encoder.WriteField(field) // to memory
	}
	return bytes.Clone(c.encoded.Bytes())
}

// The client opens and resets 10,000 streams on one connection of each listener.
func TestTenThousandResetStreamsCostOthersNothing(t *testing.T) {
	f := newFleet(t)
	f.Pair("before")
	before := residentKiB(t, system.Gateways[0].Pid())
	for _, c := range []*rawClient{
		f.rawClient(system.PairingEndpoint, "/mooring.gateway.v1.PairingService/GetPairingRequestStatus"),
		f.rawClient(system.NodeEndpoint, "/mooring.gateway.v1.NodeService/RegisterNode", f.stealIdentity("hostile").TLSCertificate()),
	} {
		_ = c.connection.SetWriteDeadline(time.Now().Add(testfleet.WaitTimeout))
		sent := 0
		for ; sent < 10000; sent++ {
			id := uint32(2*sent + 1)
			err := c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.headers("x", fmt.Sprint(sent)), EndHeaders: true})
			if err == nil {
				err = c.frames.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			if err != nil {
				break // the server closed the connection, which is an allowed defence
			}
		}
		t.Logf("%s: %d streams were reset", c.method, sent)
	}
	f.CheckEcho("before")
	f.Pair("during")
	f.CheckEcho("during")
	if grown := residentKiB(t, system.Gateways[0].Pid()) - before; grown > 128<<10 {
		t.Errorf("the gateway grew by %d KiB", grown)
	}
}

// The client sends a header of 1 MiB in continuation frames, although the server has announced a
// limit of 16 KiB.
func TestAGiantHeaderIsRefused(t *testing.T) {
	f := newFleet(t)
	f.Pair("before")
	hostile := f.stealIdentity("hostile")
	for _, c := range []*rawClient{
		f.rawClient(system.PairingEndpoint, "/mooring.gateway.v1.PairingService/GetPairingRequestStatus"),
		f.rawClient(system.NodeEndpoint, "/mooring.gateway.v1.NodeService/RegisterNode", hostile.TLSCertificate()),
	} {
		c.call(1, 8<<10) // the same within the limit
		select {
		case <-c.answered:
		case how := <-c.refused:
			t.Errorf("%s: a header of 8 KiB: %s", c.method, how)
		}
		c.call(3, 1<<20)
		select {
		case how := <-c.refused:
			t.Logf("%s: %s", c.method, how)
		case <-f.BoundedContext().Done():
			t.Errorf("%s: a header of 1 MiB was not refused", c.method)
		}
	}
	f.CheckEcho("before")
}

// call opens a stream with a header of the given size, in continuation frames.
func (c *rawClient) call(stream uint32, size int) {
	c.Helper()
	block := c.headers("x-large", strings.Repeat("~", size)) // '~' gains nothing from Huffman coding
	if len(block) < size {
		c.Fatalf("the header is only %d bytes on the wire", len(block))
	}
	const piece = 4 << 10
	err := c.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:piece], EndStream: true})
	for rest := block[piece:]; err == nil && len(rest) > 0; {
		n := min(piece, len(rest))
		err = c.frames.WriteContinuation(stream, n == len(rest), rest[:n])
		rest = rest[n:]
	}
}

// residentKiB returns the resident memory of a process (proc(5)).
func residentKiB(t *testing.T, pid int) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("read VmRSS: %v", err)
	}
	return kib
}
