// Package payload holds what the files of a package look like, and compresses them: the part of a package that .deb and
// .rpm have in common.
//
// # Tree
//
// A [Tree] is the checked and sorted set of the files, directories and symbolic links that a package installs. All belong
// to root:root. The bytes of a file are a [Content], whose size and SHA-256 are known before it is read; they are checked
// again when it is read.
//
// # One compressed stream of independent blocks
//
// The payload of both formats, a tar in a .deb and a cpio archive in an .rpm, is compressed as one .xz stream, see
// https://tukaani.org/xz/xz-file-format.txt. A stream consists of blocks that can be decoded without each other, and that
// is what [Compressor] is built upon:
//
//   - A file of [Large] bytes or more starts a block and ends one. What surrounds it, headers and small files, stands in
//     blocks of its own. So the blocks of a binary are the same in the .deb and in the .rpm, and a binary that did not
//     change compresses to the blocks of the package before.
//   - No block has more than BlockSize bytes. Large files are cut at multiples of it, counted from their beginning.
//   - Blocks are compressed on all processors and written in order. How many work at once does not change a byte.
//   - A compressed block is kept in the cache directory under the digest of its plain bytes and the name of the encoder.
//
// Readers that decode blocks one after the other, as dpkg and rpm did for years, take the stream as well as those that
// decode in parallel, for which every block header carries both sizes.
//
// The stream, in the order of its bytes:
//
//	stream header  FD "7zXZ" 00 | stream flags 00 01 | CRC32 of the flags
//	blocks         header size/4-1 | flags C0 (one filter, both sizes follow) | compressed size | plain size |
//	               filter 21 (LZMA2), 1 byte of properties: dictionary size | zeros to a multiple of 4 | CRC32
//	               LZMA2 data | zeros to a multiple of 4 | CRC32 of the plain bytes
//	index          00 | number of blocks | per block: size of header, data and check; plain size | zeros | CRC32
//	stream footer  CRC32 of what follows but "YZ" | size of the index/4-1 | stream flags | "YZ"
//
// Fixed numbers are little endian; sizes and counts have 7 bits in each byte, the lowest first, the top bit set in all
// bytes but the last. The check is CRC32, which even the smallest decoders know; the digests that protect a package
// against more than accidents stand in the package formats and the indexes.
//
// # Encoders
//
// What turns a block into LZMA2 data is an [Encoder], and the caller chooses it. [Go] is part of this program: it is always
// there, also without cgo and in an empty container, and makes the same bytes everywhere. [XZ] runs the program xz and can
// be told how hard to try; its bytes belong to a version of liblzma. One is never used in place of the other, because the
// bytes of a package must be a function of its definition. Every block is decoded again before it is written anywhere
// (package unlzma2).
//
// What they make of kubelet v1.35.0 for amd64, 82.4 MB, and how many seconds of a processor that takes, each measured once,
// on a machine that did little else but for the second line, which was measured beside the first on a busy one:
//
//	xz -0                   19.6 MB    2.8 s
//	Go                      18.3 MB    about 3, and 1 for the check
//	xz -1                   18.6 MB    5.9
//	xz -2                   18.2 MB    9.9
//	ulikunitz/xz v0.5.17    20.9 MB   15
//	xz -6                   16.2 MB   35
//
// So xz is worth its version only to those who want the last ninth of the size for nine times the work. Its blocks are three
// times its dictionary, as those of dpkg-deb are: in one piece, the same file has 0.4 percent less.
//
// # Cache
//
// The entry of a block is the file xx/yyyy…, where xxyyyy… is the SHA-256, in lower-case hex, of
//
//	"pkgs block 1\n" | name of the encoder | "\n" | SHA-256 of the plain bytes in lower-case hex | "\n"
//
// The file holds the 32 bytes of the SHA-256 of the compressed data, and then the data. A new entry gets its name when it
// is complete. An entry that does not match its digest is ignored and replaced.
package payload
