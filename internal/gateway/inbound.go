package gateway

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	// frameOverhead is the memory that grpc-go allocates for a frame on top of its bytes, rounded up.
	frameOverhead = 192
	// callCost is the memory of a call that has sent headers and no message yet.
	callCost = 1 << 10
	// frameHeaderBytes is the size of a frame header (RFC 9113, section 4.1).
	frameHeaderBytes = 9
	// messagePrefixBytes is the size of the prefix of a gRPC message: one flag and the length.
	messagePrefixBytes = 5
)

// errUnfinished ends a connection with more unfinished bytes than its limit.
var errUnfinished = errors.New("too many unfinished bytes on this connection")

// inbound is the decrypted connection that grpc-go reads. It follows the HTTP/2 frames and counts
// the memory of every part that has begun and not ended: a frame, a header block, a gRPC message, a
// call without its first message. The services limit whole messages.
type inbound struct {
	net.Conn // TLS
	raw      *limitedConn
	budget   *receiveBudget
	limit    int // maximum of parser.held

	mu     sync.Mutex
	parser frameParser
}

// Read reads from TLS and counts the received bytes.
func (c *inbound) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	c.raw.delivered()
	if held := c.received(p[:n]); held > c.limit {
		c.budget.metrics.refuse(c.budget.listener, reasonUnfinished)
		return 0, errUnfinished
	}
	c.budget.makeRoom()
	return n, err
}

// received counts bytes in the connection and in the budget. It returns the number of unfinished
// bytes.
func (c *inbound) received(p []byte) (held int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.parser.held
	c.parser.feed(p)
	c.budget.total.Add(int64(c.parser.held - before))
	return c.parser.held
}

// held returns the number of unfinished bytes.
func (c *inbound) held() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parser.held
}

// forget stops counting because the connection is closed.
func (c *inbound) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.total.Add(-int64(c.parser.held))
	c.parser = frameParser{deaf: true}
}

// late reports whether a part has been unfinished for longer than its bound.
func (c *inbound) late(now time.Time, headers, message time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parser.late(now, headers, message)
}

// frameParser follows the frames of a client. It counts bytes that are not HTTP/2 as some frame:
// grpc-go ends such a connection.
type frameParser struct {
	held int
	deaf bool // the connection is closed: further bytes are ignored

	preface  int // bytes of the client preface that were read
	header   [frameHeaderBytes]byte
	got      int       // bytes of header
	left     int       // bytes of the frame's payload still to come
	padding  int       // of left, the bytes of padding at the end
	padded   bool      // the next byte is the length of the padding
	began    time.Time // start of the frame, or of its header block
	block    int       // cost of the unfinished header block
	blockEnd bool      // the call of the header block has no message
	newest   uint32    // stream with the highest number so far

	current  message   // of the DATA frame in progress
	messages []message // unfinished ones, at most one for each stream
}

// message is an unfinished gRPC message of a stream.
type message struct {
	stream uint32
	cost   int
	began  time.Time
	prefix [messagePrefixBytes]byte
	got    int // bytes of prefix
	left   int // bytes of the message still to come, once the prefix is complete
}

// frameCost returns the memory of a frame. grpc-go allocates its buffers in few sizes.
func frameCost(length int) int {
	switch {
	case length <= 1<<10:
		return length + frameOverhead
	case length <= 4<<10:
		return 4<<10 + frameOverhead
	default:
		return max(length, 16<<10) + frameOverhead
	}
}

// feed parses received bytes.
func (f *frameParser) feed(p []byte) {
	if f.deaf {
		return
	}
	if n := min(len(p), len(http2.ClientPreface)-f.preface); n > 0 {
		f.preface += n
		p = p[n:]
	}
	for len(p) > 0 {
		if f.got < frameHeaderBytes {
			if f.got == 0 && f.block == 0 {
				f.began = time.Now()
			}
			n := copy(f.header[f.got:], p)
			f.got += n
			p = p[n:]
			if f.got < frameHeaderBytes {
				return
			}
			f.beginFrame()
		} else {
			n := min(f.left, len(p))
			if f.kind() == http2.FrameData {
				f.data(p[:n])
			}
			f.left -= n
			p = p[n:]
		}
		if f.left == 0 {
			f.endFrame()
		}
	}
}

func (f *frameParser) kind() http2.FrameType     { return http2.FrameType(f.header[3]) }
func (f *frameParser) has(flag http2.Flags) bool { return http2.Flags(f.header[4])&flag != 0 }
func (f *frameParser) stream() uint32            { return binary.BigEndian.Uint32(f.header[5:]) & (1<<31 - 1) }
func (f *frameParser) length() int {
	return int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
}
func (f *frameParser) find(stream uint32) (at int) {
	return slices.IndexFunc(f.messages, func(m message) bool { return m.stream == stream })
}

// beginFrame counts the whole frame at once, because its buffer exists from now on.
func (f *frameParser) beginFrame() {
	f.left, f.padding, f.padded = f.length(), 0, false
	f.held += frameCost(f.left)
	if f.kind() != http2.FrameData {
		return
	}
	f.padded = f.has(http2.FlagDataPadded)
	f.current = message{stream: f.stream(), began: f.began}
	if at := f.find(f.stream()); at >= 0 {
		f.current = f.messages[at]
		f.remove(at)
	}
}

// data parses the messages in the payload of a DATA frame.
func (f *frameParser) data(p []byte) {
	if f.padded && len(p) > 0 {
		f.padded, f.padding = false, int(p[0])
		p = p[1:]
		f.left-- // the caller subtracts the rest
		defer func() { f.left++ }()
	}
	// Padding at the end of the frame is not part of a message.
	p = p[:min(len(p), max(0, f.left-f.padding))]
	m := &f.current
	for len(p) > 0 {
		if m.got < messagePrefixBytes {
			n := copy(m.prefix[m.got:], p)
			m.got += n
			p = p[n:]
			if m.got < messagePrefixBytes {
				return
			}
			m.left = int(binary.BigEndian.Uint32(m.prefix[1:]))
		}
		n := min(m.left, len(p))
		m.left -= n
		p = p[n:]
		if m.left == 0 {
			f.held -= m.cost
			*m = message{stream: m.stream, began: f.began}
		}
	}
}

// endFrame moves the cost of a frame to its header block or message.
func (f *frameParser) endFrame() {
	cost, stream := frameCost(f.length()), f.stream()
	f.got = 0
	switch f.kind() {
	case http2.FrameData:
		m := f.current
		f.current = message{}
		switch {
		case f.has(http2.FlagDataEndStream), m.got == 0 && m.cost == 0:
			f.held -= cost + m.cost
		default: // a message, or a call that still waits for its first one
			m.cost += cost
			f.messages = append(f.messages, m)
		}
	case http2.FrameHeaders, http2.FrameContinuation:
		if f.kind() == http2.FrameHeaders {
			f.blockEnd = f.has(http2.FlagHeadersEndStream)
		}
		f.block += cost
		if f.has(http2.FlagHeadersEndHeaders) {
			f.endBlock(stream)
		}
	case http2.FrameRSTStream:
		f.held -= cost
		f.end(stream)
	default:
		f.held -= cost
	}
}

// endBlock ends a header block. It begins the call of the stream, or ends it.
func (f *frameParser) endBlock(stream uint32) {
	f.held -= f.block
	f.block = 0
	switch {
	case f.blockEnd:
		f.end(stream)
	case stream > f.newest:
		f.held += callCost
		f.messages = append(f.messages, message{stream: stream, began: f.began, cost: callCost})
	}
	f.newest = max(f.newest, stream)
}

// end removes the unfinished message of a stream and its cost.
func (f *frameParser) end(stream uint32) {
	if at := f.find(stream); at >= 0 {
		f.held -= f.messages[at].cost
		f.remove(at)
	}
}

// remove deletes a message. It keeps no empty list, because most connections have no unfinished
// message for days.
func (f *frameParser) remove(at int) {
	f.messages = slices.Delete(f.messages, at, at+1)
	if len(f.messages) == 0 {
		f.messages = nil
	}
}

func (f *frameParser) late(now time.Time, headers, message time.Duration) bool {
	if f.got > 0 || f.block > 0 {
		limit := headers
		if f.got == frameHeaderBytes && f.kind() == http2.FrameData {
			limit = message
		}
		if now.Sub(f.began) > limit {
			return true
		}
	}
	for i := range f.messages {
		if now.Sub(f.messages[i].began) > message {
			return true
		}
	}
	return false
}
