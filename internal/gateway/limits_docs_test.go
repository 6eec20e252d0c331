package gateway

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Whoever changes a limit changes the page that operators read.
func TestTheLimitsAreTheOnesInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // by limit
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			rows[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[2])
		}
	}
	kib := func(bytes int) string { return fmt.Sprintf("%d KiB", bytes>>10) }
	pair := func(a, b any) string { return fmt.Sprintf("%v, %v", a, b) }
	limits := DefaultLimits()
	for limit, want := range map[string]string{
		"accept to the end of TLS handshake and HTTP/2 preface":       handshakeTimeout.String(),
		"calls open on one connection":                                fmt.Sprint(maxStreams),
		"metadata of a call":                                          kib(maxHeaderBytes),
		"a received message, pairing listener":                        kib(maxPairingMessage),
		"a received message, node listener (with the largest output)": kib(maxNodeMessage),
		"write buffer of a connection, only while it writes; there is no read buffer beside that of TLS":  kib(writeBufferBytes),
		"flow-control window of a stream and of a connection, each":                                       kib(windowBytes),
		"silence before the gateway pings, and for its answer":                                            pair(keepaliveTime, keepaliveTimeout),
		"pings of a machine, at most one every":                                                           keepaliveMinTime.String(),
		"age of a pairing connection, and grace for its calls":                                            pair(pairingConnectionAge, pairingGrace),
		"a pairing connection without a call":                                                             limits.PairingIdle.String(),
		"age of a node connection, and grace for its calls":                                               fmt.Sprintf("%s to %s, %s", minNodeConnectionAge, maxNodeConnectionAge, nodeGrace),
		"connections from one address (IPv6: one /64), pairing listener":                                  fmt.Sprint(limits.PairingConnections),
		"connections from one address, node listener":                                                     fmt.Sprint(limits.NodeConnections),
		"connections of the pairing listener in all; the last quarter is for addresses with fewer than 4": fmt.Sprint(limits.TotalPairingConnections),
		"connections of one machine (one key) on the node listener; for one more the oldest is closed":    fmt.Sprint(limits.ConnectionsPerNode),
		"`BeginPairingSession` from one address, a second, and at once":                                   pair(limits.BeginsPerSecond, limits.BeginBurst),
		"other pairing calls from one address, a second, and at once":                                     pair(limits.CallsPerSecond, limits.CallBurst),
		"addresses remembered": fmt.Sprint(maxSources),
	} {
		if got, ok := rows[limit]; !ok || got != want {
			t.Errorf("docs/reference/limits.md says %q of %q, the code %q", got, limit, want)
		}
	}
}
