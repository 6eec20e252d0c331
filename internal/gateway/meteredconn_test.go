package gateway

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// frameWriter writes the frames of a client.
type frameWriter struct {
	bytes.Buffer
	*http2.Framer
}

func newFrameWriter() *frameWriter {
	w := &frameWriter{}
	w.WriteString(http2.ClientPreface)
	w.Framer = http2.NewFramer(&w.Buffer, nil)
	_ = w.WriteSettings() // cannot fail: it writes to memory, as all frames here
	return w
}

func grpcMessage(announced, sent int) []byte {
	b := make([]byte, messagePrefixBytes+sent)
	binary.BigEndian.PutUint32(b[1:], uint32(announced))
	return b
}

func TestUnfinishedBytesAreCountedUntilTheirEnd(t *testing.T) {
	headers := func(w *frameWriter, stream uint32, end bool) {
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte("abc"), EndHeaders: true, EndStream: end})
	}
	for _, test := range []struct {
		name string
		send func(w *frameWriter)
		want int
	}{
		{"nothing but the preface", func(*frameWriter) {}, 0},
		{"pings", func(w *frameWriter) { _ = w.WritePing(false, [8]byte{}) }, 0},
		{"a whole call", func(w *frameWriter) { headers(w, 1, false); _ = w.WriteData(1, true, grpcMessage(100, 100)) }, 0},
		{"headers without a message", func(w *frameWriter) { headers(w, 1, false) }, callCost},
		{"headers of a call without messages", func(w *frameWriter) { headers(w, 1, true) }, 0},
		{"a reset call", func(w *frameWriter) { headers(w, 1, false); _ = w.WriteRSTStream(1, http2.ErrCodeCancel) }, 0},
		{"a whole message on a stream that goes on", func(w *frameWriter) { headers(w, 1, false); _ = w.WriteData(1, false, grpcMessage(100, 100)) }, 0},
		{"a message without its last byte", func(w *frameWriter) { headers(w, 1, false); _ = w.WriteData(1, false, grpcMessage(100, 99)) },
			callCost + frameCost(104)},
		{"the same in single bytes", func(w *frameWriter) {
			headers(w, 1, false)
			for _, b := range grpcMessage(100, 99) {
				_ = w.WriteData(1, false, []byte{b})
			}
		}, callCost + 104*frameCost(1)},
		{"its last byte", func(w *frameWriter) {
			headers(w, 1, false)
			_ = w.WriteData(1, false, grpcMessage(100, 99))
			_ = w.WriteData(1, false, []byte{0})
		}, 0},
		{"the end of a stream before that of its message", func(w *frameWriter) {
			headers(w, 1, false)
			_ = w.WriteData(1, false, grpcMessage(100, 50))
			_ = w.WriteData(1, true, []byte{0})
		}, 0},
		{"a second header block of a call", func(w *frameWriter) { headers(w, 1, false); headers(w, 1, false) }, callCost},
		{"a call after one with a higher number", func(w *frameWriter) { headers(w, 3, false); headers(w, 1, false) }, callCost},
		{"padding", func(w *frameWriter) {
			headers(w, 1, false)
			_ = w.WriteDataPadded(1, false, grpcMessage(100, 50), make([]byte, 200))
			_ = w.WriteDataPadded(1, false, make([]byte, 50), make([]byte, 200))
		}, 0},
		{"padding without an end", func(w *frameWriter) { headers(w, 1, false); _ = w.WriteDataPadded(1, false, nil, make([]byte, 255)) }, callCost + frameCost(256)},
		{"two messages, one whole", func(w *frameWriter) {
			headers(w, 1, false)
			_ = w.WriteData(1, false, append(grpcMessage(10, 10), grpcMessage(10, 1)...))
		}, frameCost(21)},
		{"one stream does not pay for another", func(w *frameWriter) {
			headers(w, 1, false)
			_ = w.WriteData(1, false, grpcMessage(10, 1))
			headers(w, 3, false)
			_ = w.WriteData(3, true, grpcMessage(10, 10))
		}, callCost + frameCost(6)},
		{"a header block without its end", func(w *frameWriter) {
			_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 2000)})
			_ = w.WriteContinuation(1, false, make([]byte, 100))
		}, frameCost(2000) + frameCost(100)},
		{"its end", func(w *frameWriter) {
			_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 2000), EndStream: true})
			_ = w.WriteContinuation(1, true, make([]byte, 100))
		}, 0},
		{"a frame of which only the header came", func(w *frameWriter) { w.Write([]byte{0, 0x40, 0, byte(http2.FrameData), 0, 0, 0, 0, 1}) }, frameCost(16 << 10)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newFrameWriter()
			test.send(w)
			for _, chunk := range []int{1, 7, 9, 1 << 20} {
				var f frameParser
				for piece := range bytesIn(w.Bytes(), chunk) {
					f.feed(piece)
				}
				if f.unfinished != test.want {
					t.Errorf("in pieces of %d: %d bytes are held, want %d", chunk, f.unfinished, test.want)
				}
				if late := f.isLate(time.Now().Add(time.Hour), time.Minute, time.Minute); late != (test.want > 0) {
					t.Errorf("in pieces of %d: late is %v", chunk, late)
				}
				if f.isLate(time.Now(), time.Minute, time.Minute) {
					t.Errorf("in pieces of %d: late at once", chunk)
				}
				if test.want == 0 && f.messages != nil {
					t.Errorf("in pieces of %d: a connection between messages keeps %v", chunk, f.messages)
				}
			}
		})
	}
}

func bytesIn(b []byte, chunk int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(chunk, len(b))
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// FuzzFrames feeds arbitrary bytes. The parser must not panic and must not count below zero.
func FuzzFrames(f *testing.F) {
	w := newFrameWriter()
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("abc"), EndHeaders: true})
	_ = w.WriteDataPadded(1, false, grpcMessage(100, 99), make([]byte, 9))
	_ = w.WriteRSTStream(1, http2.ErrCodeCancel)
	f.Add(w.Bytes()[len(http2.ClientPreface):])
	f.Fuzz(func(t *testing.T, b []byte) {
		p := frameParser{preface: len(http2.ClientPreface)}
		for piece := range bytesIn(b, 3) {
			p.feed(piece)
			if p.unfinished < 0 {
				t.Fatalf("%d bytes are held", p.unfinished)
			}
		}
		end := frameParser{preface: len(http2.ClientPreface)}
		if end.feed(b); end.unfinished != p.unfinished {
			t.Errorf("in one piece %d are held, in pieces of 3 %d", end.unfinished, p.unfinished)
		}
	})
}

// grpc-go allocates its buffers in few sizes.
func TestTheCostOfAFrameIsThatOfItsBuffer(t *testing.T) {
	for length, buffer := range map[int]int{0: 0, 1 << 10: 1 << 10, 1<<10 + 1: 4 << 10, 4 << 10: 4 << 10, 4<<10 + 1: 16 << 10, 16 << 10: 16 << 10, 16<<10 + 1: 16<<10 + 1} {
		if got := frameCost(length); got != buffer+frameOverhead {
			t.Errorf("a frame of %d bytes costs %d, want %d", length, got, buffer+frameOverhead)
		}
	}
}

func TestTheBudgetCountsWhatItsConnectionsHold(t *testing.T) {
	b := newReceiveBudget(nodeListener, receiveBounds{}, nil)
	w := newFrameWriter()
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("abc"), EndHeaders: true})
	_ = w.WriteData(1, false, grpcMessage(100, 99))
	var all []*meteredConn
	for range 2 {
		c := &meteredConn{budget: b}
		for piece := range bytesIn(w.Bytes(), 50) {
			c.countReceived(piece)
		}
		all = append(all, c)
	}
	each := callCost + frameCost(104)
	if b.total.Load() != int64(2*each) || all[0].unfinishedBytes() != each {
		t.Errorf("%d bytes are held by all, %d by one, want %d by each", b.total.Load(), all[0].unfinishedBytes(), each)
	}
	all[0].stopCounting()
	all[0].countReceived(w.Bytes()) // these bytes arrive after stopCounting
	if b.total.Load() != int64(each) || all[0].unfinishedBytes() != 0 {
		t.Errorf("after one is closed %d bytes are held by all, %d by it", b.total.Load(), all[0].unfinishedBytes())
	}
}

// A header block has less time than a message. The time of a block begins with its first frame.
func TestWhatIsUnfinishedIsLateAfterItsTime(t *testing.T) {
	const headers, message = time.Second, time.Minute
	block := func(w *frameWriter) {
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 20)})
	}
	call := func(w *frameWriter) {
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("abc"), EndHeaders: true})
	}
	for name, tt := range map[string]struct {
		send  func(w *frameWriter)
		omit  int // bytes at the end that are not sent
		limit time.Duration
	}{
		"a header block":         {block, 0, headers},
		"a frame of headers":     {block, 1, headers},
		"a header of a frame":    {func(w *frameWriter) { call(w); _ = w.WriteData(1, false, nil) }, 1, headers},
		"a call without message": {call, 0, message},
		"a frame of data":        {func(w *frameWriter) { call(w); _ = w.WriteData(1, false, grpcMessage(9, 9)) }, 1, message},
		"a message":              {func(w *frameWriter) { call(w); _ = w.WriteData(1, false, grpcMessage(9, 8)) }, 0, message},
	} {
		t.Run(name, func(t *testing.T) {
			w := newFrameWriter()
			tt.send(w)
			var f frameParser
			f.feed(w.Bytes()[:w.Len()-tt.omit])
			began := time.Now()
			f.began = began
			for i := range f.messages {
				f.messages[i].began = began
			}
			if f.isLate(began.Add(tt.limit), headers, message) {
				t.Error("it is late at its limit")
			}
			if !f.isLate(began.Add(tt.limit+1), headers, message) {
				t.Error("it is never late")
			}
		})
	}
	if (&frameParser{}).isLate(time.Now(), 0, 0) {
		t.Error("nothing is late")
	}
}
