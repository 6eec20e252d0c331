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

// errTooManyUnfinishedBytes ends a connection with more unfinished bytes than its limit.
var errTooManyUnfinishedBytes = errors.New("too many unfinished bytes on this connection")

// meteredConn is the decrypted connection that grpc-go reads. It follows the HTTP/2 frames and
// counts the memory of every part that has begun and not ended. Such a part is a frame, a header
// block, a gRPC message, or a call without its first message. The services limit whole messages.
type meteredConn struct {
	net.Conn // TLS
	raw      *limitedConn
	budget   *receiveBudget
	limit    int // maximum of parser.unfinished

	mu     sync.Mutex
	parser frameParser
}

// Read reads from TLS and counts the received bytes.
func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	c.raw.resetBacklog()
	if unfinished := c.countReceived(p[:n]); unfinished > c.limit {
		c.budget.metrics.countRefused(c.budget.listener, reasonUnfinished)
		return 0, errTooManyUnfinishedBytes
	}
	c.budget.closeLargest()
	return n, err
}

// countReceived counts bytes in the connection and in the budget. It returns the number of unfinished
// bytes.
func (c *meteredConn) countReceived(p []byte) (unfinished int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.parser.unfinished
	c.parser.feed(p)
	c.budget.total.Add(int64(c.parser.unfinished - before))
	return c.parser.unfinished
}

// unfinishedBytes returns the number of unfinished bytes.
func (c *meteredConn) unfinishedBytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parser.unfinished
}

// stopCounting stops counting because the connection is closed.
func (c *meteredConn) stopCounting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.budget.total.Add(-int64(c.parser.unfinished))
	c.parser = frameParser{closed: true}
}

// isLate reports whether a part has been unfinished for longer than its bound.
func (c *meteredConn) isLate(now time.Time, headers, message time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parser.isLate(now, headers, message)
}

// frameParser follows the frames of a client. It counts bytes that are not HTTP/2 as some frame:
// grpc-go ends such a connection.
type frameParser struct {
	unfinished int
	closed     bool // the connection is closed: further bytes are ignored

	preface       int // bytes of the client preface that were read
	header        [frameHeaderBytes]byte
	headerRead    int       // bytes of header
	payloadLeft   int       // bytes of the frame's payload still to come
	padding       int       // of payloadLeft, the bytes of padding at the end
	padded        bool      // the next byte is the length of the padding
	began         time.Time // start of the frame, or of its header block
	blockCost     int       // cost of the unfinished header block
	blockEnd      bool      // the call of the header block has no message
	highestStream uint32    // stream with the highest number so far

	current  message   // of the DATA frame in progress
	messages []message // unfinished ones, at most one for each stream
}

// message is an unfinished gRPC message of a stream.
type message struct {
	stream     uint32
	cost       int
	began      time.Time
	prefix     [messagePrefixBytes]byte
	prefixRead int // bytes of prefix
	bytesLeft  int // bytes of the message still to come, once the prefix is complete
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
	if f.closed {
		return
	}
	if n := min(len(p), len(http2.ClientPreface)-f.preface); n > 0 {
		f.preface += n
		p = p[n:]
	}
	for len(p) > 0 {
		if f.headerRead < frameHeaderBytes {
			if f.headerRead == 0 && f.blockCost == 0 {
				f.began = time.Now()
			}
			n := copy(f.header[f.headerRead:], p)
			f.headerRead += n
			p = p[n:]
			if f.headerRead < frameHeaderBytes {
				return
			}
			f.beginFrame()
		} else {
			n := min(f.payloadLeft, len(p))
			if f.frameType() == http2.FrameData {
				f.parseData(p[:n])
			}
			f.payloadLeft -= n
			p = p[n:]
		}
		if f.payloadLeft == 0 {
			f.endFrame()
		}
	}
}

func (f *frameParser) frameType() http2.FrameType    { return http2.FrameType(f.header[3]) }
func (f *frameParser) hasFlag(flag http2.Flags) bool { return http2.Flags(f.header[4])&flag != 0 }
func (f *frameParser) stream() uint32                { return binary.BigEndian.Uint32(f.header[5:]) & (1<<31 - 1) }
func (f *frameParser) length() int {
	return int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
}
func (f *frameParser) findMessage(stream uint32) (at int) {
	return slices.IndexFunc(f.messages, func(m message) bool { return m.stream == stream })
}

// beginFrame counts the whole frame at once, because its buffer exists from now on.
func (f *frameParser) beginFrame() {
	f.payloadLeft, f.padding, f.padded = f.length(), 0, false
	f.unfinished += frameCost(f.payloadLeft)
	if f.frameType() != http2.FrameData {
		return
	}
	f.padded = f.hasFlag(http2.FlagDataPadded)
	f.current = message{stream: f.stream(), began: f.began}
	if at := f.findMessage(f.stream()); at >= 0 {
		f.current = f.messages[at]
		f.removeMessage(at)
	}
}

// parseData parses the messages in the payload of a DATA frame.
func (f *frameParser) parseData(p []byte) {
	if f.padded && len(p) > 0 {
		f.padded, f.padding = false, int(p[0])
		p = p[1:]
		f.payloadLeft-- // the caller subtracts the rest
		defer func() { f.payloadLeft++ }()
	}
	// Padding at the end of the frame is not part of a message.
	p = p[:min(len(p), max(0, f.payloadLeft-f.padding))]
	m := &f.current
	for len(p) > 0 {
		if m.prefixRead < messagePrefixBytes {
			n := copy(m.prefix[m.prefixRead:], p)
			m.prefixRead += n
			p = p[n:]
			if m.prefixRead < messagePrefixBytes {
				return
			}
			m.bytesLeft = int(binary.BigEndian.Uint32(m.prefix[1:]))
		}
		n := min(m.bytesLeft, len(p))
		m.bytesLeft -= n
		p = p[n:]
		if m.bytesLeft == 0 {
			f.unfinished -= m.cost
			*m = message{stream: m.stream, began: f.began}
		}
	}
}

// endFrame moves the cost of a frame to its header block or message.
func (f *frameParser) endFrame() {
	cost, stream := frameCost(f.length()), f.stream()
	f.headerRead = 0
	switch f.frameType() {
	case http2.FrameData:
		m := f.current
		f.current = message{}
		switch {
		case f.hasFlag(http2.FlagDataEndStream), m.prefixRead == 0 && m.cost == 0:
			f.unfinished -= cost + m.cost
		default: // a message, or a call that still waits for its first one
			m.cost += cost
			f.messages = append(f.messages, m)
		}
	case http2.FrameHeaders, http2.FrameContinuation:
		if f.frameType() == http2.FrameHeaders {
			f.blockEnd = f.hasFlag(http2.FlagHeadersEndStream)
		}
		f.blockCost += cost
		if f.hasFlag(http2.FlagHeadersEndHeaders) {
			f.endBlock(stream)
		}
	case http2.FrameRSTStream:
		f.unfinished -= cost
		f.endCall(stream)
	default:
		f.unfinished -= cost
	}
}

// endBlock ends a header block. It begins the call of the stream, or ends it.
func (f *frameParser) endBlock(stream uint32) {
	f.unfinished -= f.blockCost
	f.blockCost = 0
	switch {
	case f.blockEnd:
		f.endCall(stream)
	case stream > f.highestStream:
		f.unfinished += callCost
		f.messages = append(f.messages, message{stream: stream, began: f.began, cost: callCost})
	}
	f.highestStream = max(f.highestStream, stream)
}

// endCall removes the unfinished message of a stream and its cost.
func (f *frameParser) endCall(stream uint32) {
	if at := f.findMessage(stream); at >= 0 {
		f.unfinished -= f.messages[at].cost
		f.removeMessage(at)
	}
}

// removeMessage deletes a message. It keeps no empty list, because most connections have no
// unfinished message for days.
func (f *frameParser) removeMessage(at int) {
	f.messages = slices.Delete(f.messages, at, at+1)
	if len(f.messages) == 0 {
		f.messages = nil
	}
}

func (f *frameParser) isLate(now time.Time, headers, message time.Duration) bool {
	if f.headerRead > 0 || f.blockCost > 0 {
		limit := headers
		if f.headerRead == frameHeaderBytes && f.frameType() == http2.FrameData {
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
