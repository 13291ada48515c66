package payload

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

const (
	xzMagic  = "\xfd7zXZ\x00"
	xzFooter = "YZ"
	// checkCRC32 is the type of check in the stream flags; checkSize its length.
	checkCRC32 = 0x01
	checkSize  = 4
	// filterLZMA2 is the filter's number.
	filterLZMA2 = 0x21
	// oneFilterBothSizes are the flags of a block whose header says both sizes.
	oneFilterBothSizes = 0xc0
)

var xzFlags = [2]byte{0, checkCRC32}

// stream writes the container. It knows nothing of compression.
type stream struct {
	w     io.Writer
	index []blockSizes
	err   error
}

type blockSizes struct{ unpadded, plain uint64 }

func newStream(w io.Writer) *stream {
	s := &stream{w: w}
	head := append([]byte(xzMagic), xzFlags[:]...)
	s.write(binary.LittleEndian.AppendUint32(head, crc32.ChecksumIEEE(xzFlags[:])))
	return s
}

// block adds a block of LZMA2 data that decodes, with a dictionary of dictSize bytes, to size bytes of CRC32 sum.
func (s *stream) block(data []byte, dictSize int, size int, sum uint32) error {
	head := []byte{0, oneFilterBothSizes}
	head = binary.AppendUvarint(head, uint64(len(data)))
	head = binary.AppendUvarint(head, uint64(size))
	head = append(head, filterLZMA2, 1, dictProperty(dictSize))
	head = pad(head)
	// The size byte counts the CRC32 that follows, and is one less than the number of four bytes.
	head[0] = byte(len(head) / 4)
	head = binary.LittleEndian.AppendUint32(head, crc32.ChecksumIEEE(head))

	tail := make([]byte, padding(len(data)), 3+checkSize)
	tail = binary.LittleEndian.AppendUint32(tail, sum)

	s.write(head)
	s.write(data)
	s.write(tail)
	s.index = append(s.index, blockSizes{uint64(len(head)+len(data)) + checkSize, uint64(size)})
	return s.err
}

// close writes the index and the footer.
func (s *stream) close() error {
	index := []byte{0}
	index = binary.AppendUvarint(index, uint64(len(s.index)))
	for _, b := range s.index {
		index = binary.AppendUvarint(index, b.unpadded)
		index = binary.AppendUvarint(index, b.plain)
	}
	index = pad(index)
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	s.write(index)

	end := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	end = append(end, xzFlags[:]...)
	s.write(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(end)))
	s.write(append(end, xzFooter...))
	return s.err
}

func (s *stream) write(p []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
	}
}

// dictProperty is the byte that stands for the smallest dictionary of at least size bytes: 2<<n or 3<<n, from 4 KiB on.
func dictProperty(size int) byte {
	for p := range byte(40) {
		if (2|uint64(p)&1)<<(p/2+11) >= uint64(size) {
			return p
		}
	}
	return 40
}

func padding(n int) int { return -n & 3 }

func pad(p []byte) []byte { return append(p, make([]byte, padding(len(p)))...) }
