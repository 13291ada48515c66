package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// distant makes a server on this machine answer as one that is far away: what passes takes half of the round trip in each
// direction, whoever connects waits for a whole one first, as for the handshake of TCP, and bytes flow as fast as this
// machine lets them.
type distant struct {
	listener net.Listener
	to       string
	trip     time.Duration
	buffers  sync.Pool // of pieces
}

// newDistant listens on a free port for a server at an address.
func newDistant(to string, trip time.Duration) (*distant, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &distant{listener: listener, to: to, trip: trip}
	go d.serve()
	return d, nil
}

func (d *distant) url() string { return "http://" + d.listener.Addr().String() }

func (d *distant) Close() error { return d.listener.Close() }

func (d *distant) serve() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		go d.connect(client)
	}
}

// connect passes on in both directions.
func (d *distant) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", d.to)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { d.delay(server, client, time.Now().Add(d.trip), d.trip/2) })
	both.Go(func() { d.delay(client, server, time.Time{}, d.trip/2) })
	both.Wait()
}

// piece is some bytes and when they arrive.
type piece struct {
	buffer *[pieceSize]byte
	n      int
	at     time.Time
}

const pieceSize = 64 << 10

// delay passes on what comes from a connection, each piece a while after it came and none before a time.
func (d *distant) delay(to, from net.Conn, notBefore time.Time, by time.Duration) {
	pieces := make(chan piece, 64) // as much may be under way: some MB, at full speed
	go func() {
		defer close(pieces)
		for {
			buffer, ok := d.buffers.Get().(*[pieceSize]byte)
			if !ok {
				buffer = new([pieceSize]byte)
			}
			n, err := from.Read(buffer[:])
			if n > 0 {
				at := time.Now()
				if at.Before(notBefore) {
					at = notBefore
				}
				pieces <- piece{buffer, n, at.Add(by)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.at))
		_, err := to.Write(p.buffer[:p.n])
		d.buffers.Put(p.buffer)
		if err != nil {
			from.Close()
			for range pieces {
			}
			return
		}
	}
	// The other direction may still be under way.
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) {
			to.Close()
		}
	}
}
