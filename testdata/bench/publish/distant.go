package main

import (
	"net"
	"sync/atomic"
	"time"
)

// distant is a listener on this machine whose clients wait as those of a server far away do: a round trip for the
// connection, as for the handshake of TCP, and one for each request. Bytes flow as fast as this machine lets them.
//
// The whole of a trip passes before the server sees the first bytes of a request, which to a client is the same as half of
// it in each direction. That takes no processor time, of which a proxy would take a good part of what it measures.
type distant struct {
	net.Listener
	trip time.Duration
}

// newDistant listens on a free port.
func newDistant(trip time.Duration) (*distant, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	return &distant{listener, trip}, err
}

func (d *distant) url() string { return "http://" + d.Addr().String() }

func (d *distant) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &distantConn{Conn: conn, trip: d.trip, open: time.Now().Add(d.trip)}
	c.turn.Store(true)
	return c, nil
}

// distantConn is the server's end of a connection.
type distantConn struct {
	net.Conn
	trip time.Duration
	open time.Time   // when the client knows that it is connected
	turn atomic.Bool // the client is to speak: what comes next is the beginning of a request
}

// Read keeps the beginning of a request back for a round trip. By then the rest of it has come, or flows.
func (c *distantConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.turn.Swap(false) {
		time.Sleep(max(0, time.Until(c.open)) + c.trip)
	}
	return n, err
}

func (c *distantConn) Write(p []byte) (int, error) {
	c.turn.Store(true)
	return c.Conn.Write(p)
}
