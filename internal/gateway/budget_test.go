package gateway

import (
	"testing"

	"golang.org/x/net/http2"
)

// unfinishedFrames returns frames of one byte each that carry a message without its end.
func unfinishedFrames(listener string, count int) []byte {
	w := newFrameWriter()
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: callHeaders(listener), EndHeaders: true})
	for _, b := range grpcMessage(count, count-1-messagePrefixBytes) {
		_ = w.WriteData(1, false, []byte{b})
	}
	return w.Bytes()
}

func TestUnfinishedBytesOfAConnectionAreBounded(t *testing.T) {
	for listener, limit := range map[string]int{pairingListener: pairingBounds.receive.perConnection, nodeListener: nodeBounds.receive.perConnection} {
		r := startGateway(t)
		c := r.dialHandshaken(t, listener)
		_, _ = c.Write(unfinishedFrames(listener, limit/frameCost(1)+2)) // may be closed before its end
		soon.True(t, "the connection is closed for its bytes", func() bool { return r.refusedCount(listener, reasonUnfinished) == 1 })
	}
}

func TestAMachineHoldsNoPlaceOfStrangers(t *testing.T) {
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.NodeConnections, o.Limits.TotalNodeConnections = 2, 4 })
	for i := range 6 {
		c, err := dialTLS(t, r.nodeAddress(), r.clientTLS(r.deviceCA.IssueDeviceTLS(t, machineNumber(i))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, frameHeaderBytes)); err != nil {
			t.Fatalf("machine %d is not served: %v", i, err)
		}
	}
	if open, closed := r.openConnections(nodeListener), r.refusedCount(nodeListener, reasonMadeRoom); open != 6 || closed != 0 {
		t.Errorf("%v machines are connected, %v were closed for others", open, closed)
	}
}
