package threats_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// maxFloodGrowthKiB bounds how much a flood of strangers may add to the resident memory of a gateway.
const maxFloodGrowthKiB = 32 << 10 // KiB

// minFloodTime is the least duration of each flood.
const minFloodTime = 6 * time.Second

// floodAttack is a number of connections, each of which begins a message or handshake and does not end
// it.
type floodAttack struct {
	name, address string
	connections   int
	open          func(ctx context.Context, from, to string)
}

func floodAttacks() []floodAttack {
	secured := func(payload []byte) func(context.Context, string, string) {
		return func(ctx context.Context, from, to string) { floodSecured(ctx, from, to, payload) }
	}
	return []floodAttack{
		{"messages of 256 KiB", system.PairingEndpoint, 69, secured(unfinishedCalls(16, 256<<10, 16<<10))},
		{"messages of 32 KiB", system.PairingEndpoint, 600, secured(unfinishedCalls(3, 32<<10, 16<<10))},
		{"messages in single bytes", system.PairingEndpoint, 69, secured(unfinishedCalls(4, 4<<10, 1))},
		{"nothing after a handshake", system.PairingEndpoint, 1200, secured(nil)},
		{"client certificates", system.NodeEndpoint, 600, floodCertificate},
		{"silence", system.NodeEndpoint, 4000, floodRaw},
	}
}

// The memory of a gateway stays far below the limit of its pod while strangers begin messages and
// do not end them, from any number of addresses. A machine pairs meanwhile.
func TestUnfinishedBytesOfStrangersBarelyGrowAGateway(t *testing.T) {
	full := os.Getenv("MOORING_TEST_SIZE") == "full"
	f := newFleet(t)
	f.Pair("before")
	for i, attack := range floodAttacks() {
		for j, addresses := range []int{1, 20} {
			if !full && i%2 != j {
				continue
			}
			t.Run(fmt.Sprintf("%s from %d", attack.name, addresses), func(t *testing.T) {
				f := f.inSubtest(t)
				pid := system.Gateways[0].Pid()
				before := residentKiB(t, pid)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				ended, most := attack.run(ctx, addresses), trackMaxResident(ctx, t, pid)
				began := time.Now()
				f.Pair(fmt.Sprintf("during-%d-%d", i, addresses))
				paired := time.Since(began)
				<-time.After(time.Until(began.Add(minFloodTime)))
				stop()
				grown := <-most - before
				ended.Wait()
				t.Logf("%d KiB before, %d more at most; a machine paired in %s", before, grown, paired.Round(time.Millisecond))
				if grown > maxFloodGrowthKiB {
					t.Errorf("the gateway grew by %d KiB", grown)
				}
			})
		}
	}
	f.CheckEcho("before")
}

// run opens connections until ctx ends, and opens each again when the gateway closes it.
func (f floodAttack) run(ctx context.Context, addresses int) *sync.WaitGroup {
	var open sync.WaitGroup
	for i := range f.connections {
		from := fmt.Sprintf("127.0.7.%d", 1+i%addresses)
		open.Go(func() {
			for ctx.Err() == nil {
				f.open(ctx, from, f.address)
			}
		})
	}
	return &open
}

// trackMaxResident sends the largest resident memory of a process, in KiB, when ctx ends.
func trackMaxResident(ctx context.Context, t *testing.T, pid int) <-chan int {
	most := make(chan int, 1)
	go func() {
		largest := 0
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			largest = max(largest, residentKiB(t, pid))
			<-tick.C
		}
		most <- largest
	}()
	return most
}

// attackerKey is the private key for the certificates that do not end.
var attackerKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func dialer(from string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
}

// readUntilClosed reads until the gateway or the test ends the connection.
func readUntilClosed(ctx context.Context, c net.Conn) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for {
		if _, err := c.Read(make([]byte, 512)); err != nil {
			c.Close()
			return
		}
	}
}

func floodRaw(ctx context.Context, from, to string) {
	if c, err := dialer(from).DialContext(ctx, "tcp", to); err == nil {
		readUntilClosed(ctx, c)
	}
}

func floodSecured(ctx context.Context, from, to string, payload []byte) {
	secured := tls.Dialer{NetDialer: dialer(from), Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}} //nolint:gosec // an attacker does not mind
	c, err := secured.DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	go func() { _, _ = c.Write(payload) }() // the gateway may close the connection first
	readUntilClosed(ctx, c)
}

// floodCertificate sends a client certificate that does not end.
func floodCertificate(ctx context.Context, from, to string) {
	raw, err := dialer(from).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	defer raw.Close()
	endless := tls.Certificate{Certificate: [][]byte{make([]byte, 261_000)}, PrivateKey: attackerKey()}
	c := tls.Client(&truncatingConn{Conn: raw, remaining: 255_000}, &tls.Config{ //nolint:gosec // an attacker does not mind
		InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{endless},
	})
	_ = c.HandshakeContext(ctx)
	readUntilClosed(ctx, raw)
}

// truncatingConn sends a limited number of bytes and discards the rest.
type truncatingConn struct {
	net.Conn
	remaining int
}

func (u *truncatingConn) Write(p []byte) (int, error) {
	n := min(len(p), u.remaining)
	u.remaining -= n
	if _, err := u.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unfinishedCalls returns the bytes of calls whose messages lack their last byte.
func unfinishedCalls(calls, message, frame int) []byte {
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	frames, headers := http2.NewFramer(&b, nil), hpack.NewEncoder(&block)
	_ = frames.WriteSettings() // to memory, as all of them
	for i := range calls {
		stream := uint32(2*i + 1)
		block.Reset()
		for _, field := range []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: "/mooring.gateway.v1.PairingService/BeginPairingSession"},
			{Name: ":authority", Value: "gateway.mooring"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
		} {
			_ = headers.WriteField(field)
		}
		_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
		sent := make([]byte, 5+min(message, 64<<10)-1-5)
		binary.BigEndian.PutUint32(sent[1:], uint32(message))
		for len(sent) > 0 {
			n := min(frame, len(sent))
			_ = frames.WriteData(stream, false, sent[:n])
			sent = sent[n:]
		}
	}
	return b.Bytes()
}
