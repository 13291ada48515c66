package rpm

import (
	"encoding/binary"
	"math"
	"slices"
)

// Tags of the main header, and the two of the regions.
const (
	tagHeaderSignatures  = 62
	tagHeaderImmutable   = 63
	tagHeaderI18NTable   = 100
	tagName              = 1000
	tagVersion           = 1001
	tagRelease           = 1002
	tagSummary           = 1004
	tagDescription       = 1005
	tagBuildTime         = 1006
	tagBuildHost         = 1007
	tagSize              = 1009
	tagVendor            = 1011
	tagLicense           = 1014
	tagPackager          = 1015
	tagGroup             = 1016
	tagURL               = 1020
	tagOS                = 1021
	tagArch              = 1022
	tagPreIn             = 1023
	tagPostIn            = 1024
	tagPreUn             = 1025
	tagPostUn            = 1026
	tagFileSizes         = 1028
	tagFileModes         = 1030
	tagFileRDevs         = 1033
	tagFileMTimes        = 1034
	tagFileDigests       = 1035
	tagFileLinkTos       = 1036
	tagFileFlags         = 1037
	tagFileUserName      = 1039
	tagFileGroupName     = 1040
	tagSourceRPM         = 1044
	tagFileVerifyFlags   = 1045
	tagProvideName       = 1047
	tagRequireFlags      = 1048
	tagRequireName       = 1049
	tagRequireVersion    = 1050
	tagConflictFlags     = 1053
	tagConflictName      = 1054
	tagConflictVersion   = 1055
	tagRPMVersion        = 1064
	tagChangelogTime     = 1080
	tagChangelogName     = 1081
	tagChangelogText     = 1082
	tagPreInProg         = 1085
	tagPostInProg        = 1086
	tagPreUnProg         = 1087
	tagPostUnProg        = 1088
	tagObsoleteName      = 1090
	tagFileDevices       = 1095
	tagFileInodes        = 1096
	tagFileLangs         = 1097
	tagProvideFlags      = 1112
	tagProvideVersion    = 1113
	tagObsoleteFlags     = 1114
	tagObsoleteVersion   = 1115
	tagDirIndexes        = 1116
	tagBaseNames         = 1117
	tagDirNames          = 1118
	tagPayloadFormat     = 1124
	tagPayloadCompressor = 1125
	tagPayloadFlags      = 1126
	tagFileColors        = 1140
	tagFileClass         = 1141
	tagClassDict         = 1142
	tagLongSize          = 5009
	tagFileDigestAlgo    = 5011
	tagOrderName         = 5035
	tagOrderVersion      = 5036
	tagOrderFlags        = 5037
	tagRecommendName     = 5046
	tagRecommendVersion  = 5047
	tagRecommendFlags    = 5048
	tagSuggestName       = 5049
	tagSuggestVersion    = 5050
	tagSuggestFlags      = 5051
	tagSupplementName    = 5052
	tagSupplementVersion = 5053
	tagSupplementFlags   = 5054
	tagEnhanceName       = 5055
	tagEnhanceVersion    = 5056
	tagEnhanceFlags      = 5057
	tagEncoding          = 5062
	tagPayloadDigest     = 5092
	tagPayloadDigestAlgo = 5093
	tagPayloadDigestAlt  = 5097
)

// Tags of the signature header.
const (
	sigRSA             = 268
	sigSHA1            = 269
	sigLongSize        = 270
	sigLongPayloadSize = 271
	sigSHA256          = 273
	sigSize            = 1000
	sigPayloadSize     = 1007
	sigReservedSpace   = 1008
)

// Types of entries.
const (
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18NString  = 9
)

const (
	headerMagic = "\x8e\xad\xe8\x01\x00\x00\x00\x00"
	entrySize   = 16
)

// header collects entries. Setting a tag again replaces its entry.
type header struct{ entries []entry }

type entry struct {
	tag, kind, count uint32
	align            int
	data             []byte
}

func (h *header) set(e entry) {
	i, found := slices.BinarySearchFunc(h.entries, e, func(a, b entry) int { return int(a.tag) - int(b.tag) })
	if found {
		h.entries[i] = e
	} else {
		h.entries = slices.Insert(h.entries, i, e)
	}
}

func (h *header) string(tag uint32, s string) {
	h.set(entry{tag, typeString, 1, 1, append([]byte(s), 0)})
}

// text sets a text that could have translations, but has only the one for the locale C.
func (h *header) text(tag uint32, s string) {
	h.set(entry{tag, typeI18NString, 1, 1, append([]byte(s), 0)})
}

func (h *header) strings(tag uint32, list []string) {
	var data []byte
	for _, s := range list {
		data = append(append(data, s...), 0)
	}
	h.set(entry{tag, typeStringArray, uint32(len(list)), 1, data})
}

func (h *header) bin(tag uint32, data []byte) {
	h.set(entry{tag, typeBin, uint32(len(data)), 1, data})
}

func (h *header) int16(tag uint32, list ...uint16) {
	var data []byte
	for _, n := range list {
		data = binary.BigEndian.AppendUint16(data, n)
	}
	h.set(entry{tag, typeInt16, uint32(len(list)), 2, data})
}

func (h *header) int32(tag uint32, list ...uint32) {
	var data []byte
	for _, n := range list {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	h.set(entry{tag, typeInt32, uint32(len(list)), 4, data})
}

// size sets one of two tags: short, or if the number does not fit into 32 bits, long.
func (h *header) size(short, long uint32, n int64) {
	if n <= math.MaxUint32 {
		h.int32(short, uint32(n))
		return
	}
	h.set(entry{long, typeInt64, 1, 8, binary.BigEndian.AppendUint64(nil, uint64(n))})
}

// bytes is the header with all entries in a region.
func (h *header) bytes(region uint32) []byte {
	var index, data []byte
	add := func(e entry, offset int) {
		for _, n := range []uint32{e.tag, e.kind, uint32(offset), e.count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
	}
	for _, e := range h.entries {
		data = append(data, make([]byte, -len(data)&(e.align-1))...)
		add(e, len(data))
		data = append(data, e.data...)
	}
	regionEntry := entry{tag: region, kind: typeBin, count: entrySize}
	entries := index
	index = nil
	add(regionEntry, -(len(entries) + entrySize))
	data = append(data, index...)
	index = nil
	add(regionEntry, len(data)-entrySize)

	head := []byte(headerMagic)
	head = binary.BigEndian.AppendUint32(head, uint32(len(h.entries)+1))
	head = binary.BigEndian.AppendUint32(head, uint32(len(data)))
	return slices.Concat(head, index, entries, data)
}
