package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The tags of the packets that keys and signatures consist of.
const (
	TagSignature    = 2
	TagPrivateKey   = 5
	TagPublicKey    = 6
	TagPrivateSub   = 7
	TagMarker       = 10
	TagTrust        = 12
	TagUserID       = 13
	TagPublicSub    = 14
	TagUserAttr     = 17
	TagPadding      = 21
	maxPackets      = 4096
	oldFormatLength = 0x03
)

// Packet is one packet: its tag, its body, and the whole of it with the header.
type Packet struct {
	Tag  int
	Body []byte
	Raw  []byte
}

// Packets splits data into its packets; their slices share its memory. Lengths must be definite, as they always are in
// keys and signatures, and there may be at most 4096 packets.
func Packets(data []byte) ([]Packet, error) {
	var packets []Packet
	for at := 0; at < len(data); {
		tag, header, length, err := header(data[at:])
		if err != nil {
			return nil, fmt.Errorf("packet %d, at byte %d: %w", len(packets)+1, at, err)
		}
		if length > uint64(len(data)-at-header) {
			return nil, fmt.Errorf("packet %d, at byte %d: it has %d bytes, and only %d are there", len(packets)+1, at, length, len(data)-at-header)
		}
		if len(packets) == maxPackets {
			return nil, fmt.Errorf("there are more than %d packets", maxPackets)
		}
		stop := at + header + int(length)
		packets = append(packets, Packet{Tag: tag, Body: data[at+header : stop : stop], Raw: data[at:stop:stop]})
		at = stop
	}
	return packets, nil
}

var errTruncated = errors.New("its header is cut short")

// header reads a packet's header (RFC 4880, section 4.2): the tag, the size of the header and that of the body.
func header(data []byte) (tag, size int, length uint64, err error) {
	first := data[0]
	if first&0x80 == 0 {
		return 0, 0, 0, errors.New("this is not OpenPGP data")
	}
	if first&0x40 == 0 { // the old format: two bits tell how many bytes the length has
		tag = int(first&0x3f) >> 2
		if first&oldFormatLength == 3 {
			return 0, 0, 0, errors.New("its length is indeterminate")
		}
		n := 1 << (first & oldFormatLength)
		if len(data) < 1+n {
			return 0, 0, 0, errTruncated
		}
		for _, b := range data[1 : 1+n] {
			length = length<<8 | uint64(b)
		}
		return tag, 1 + n, length, nil
	}
	tag = int(first & 0x3f)
	if len(data) < 2 {
		return 0, 0, 0, errTruncated
	}
	switch l := data[1]; {
	case l < 192:
		return tag, 2, uint64(l), nil
	case l < 224:
		if len(data) < 3 {
			return 0, 0, 0, errTruncated
		}
		return tag, 3, uint64(l-192)<<8 + uint64(data[2]) + 192, nil
	case l < 255:
		return 0, 0, 0, errors.New("it comes in parts")
	}
	if len(data) < 6 {
		return 0, 0, 0, errTruncated
	}
	return tag, 6, uint64(binary.BigEndian.Uint32(data[2:])), nil
}

// PublicHalf is the packet of the public key with which that of an RSA private key of version 4 begins (RFC 4880, section
// 5.5.3), and false for every other packet.
func PublicHalf(p Packet) (Packet, bool) {
	tag, ok := map[int]int{TagPrivateKey: TagPublicKey, TagPrivateSub: TagPublicSub}[p.Tag]
	end := 6 // behind version, time and algorithm, of which 1 to 3 are RSA
	if !ok || len(p.Body) < end || p.Body[0] != 4 || p.Body[5] < 1 || p.Body[5] > 3 {
		return p, false
	}
	for range 2 { // numbers: the modulus and the exponent
		if len(p.Body) < end+2 {
			return p, false
		}
		end += 2 + (int(binary.BigEndian.Uint16(p.Body[end:]))+7)/8
	}
	if end > len(p.Body) {
		return p, false
	}
	raw := []byte{0xc0 | byte(tag)}
	switch n := end - 192; {
	case n < 0:
		raw = append(raw, byte(end))
	case n < 8192:
		raw = append(raw, byte(192+n>>8), byte(n))
	default:
		raw = binary.BigEndian.AppendUint32(append(raw, 255), uint32(end))
	}
	raw = append(raw, p.Body[:end]...)
	return Packet{Tag: tag, Body: raw[len(raw)-end:], Raw: raw}, true
}
