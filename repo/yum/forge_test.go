package yum

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// value is an entry of a header that a test writes by hand. Count 0 stands for the right one.
type value struct {
	tag   tag
	kind  kind
	count uint32
	data  []byte
}

func str(t tag, s string) value { return value{t, kindString, 1, []byte(s + "\x00")} }

func strs(t tag, list ...string) value {
	var b []byte
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return value{t, kindStrings, uint32(len(list)), b}
}

func int16s(t tag, list ...uint16) value {
	v := value{t, kindInt16, uint32(len(list)), nil}
	for _, n := range list {
		v.data = binary.BigEndian.AppendUint16(v.data, n)
	}
	return v
}

func int32s(t tag, list ...uint32) value {
	v := value{t, kindInt32, uint32(len(list)), nil}
	for _, n := range list {
		v.data = binary.BigEndian.AppendUint32(v.data, n)
	}
	return v
}

// headerOf writes a header with that region.
func headerOf(region tag, values ...value) []byte {
	var index, store []byte
	entry := func(list []byte, v value, offset uint32) []byte {
		for _, n := range []uint32{uint32(v.tag), uint32(v.kind), offset, v.count} {
			list = binary.BigEndian.AppendUint32(list, n)
		}
		return list
	}
	for _, v := range values {
		width := map[kind]int{kindInt16: 2, kindInt32: 4, kindInt64: 8}[v.kind]
		for width > 0 && len(store)%width != 0 {
			store = append(store, 0)
		}
		index = entry(index, v, uint32(len(store)))
		store = append(store, v.data...)
	}
	first := value{tag: region, kind: kindBinary, count: headerStart}
	index = append(entry(nil, first, uint32(len(store))), index...)
	store = entry(store, first, -uint32(len(index)))
	head := []byte(headerMagic)
	head = binary.BigEndian.AppendUint32(head, uint32(len(index)/headerStart))
	head = binary.BigEndian.AppendUint32(head, uint32(len(store)))
	return append(append(head, index...), store...)
}

// forge writes a package with the values of goodValues, of which those that are given replace or complete some.
func forge(values ...value) []byte {
	all := goodValues()
	for _, v := range values {
		found := false
		for i := range all {
			if all[i].tag == v.tag {
				all[i], found = v, true
			}
		}
		if !found {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b value) int { return cmp.Compare(a.tag, b.tag) }) // as rpm wants them
	return assemble(headerOf(regionMain, all...), []byte("payload"))
}

// goodValues are those of a package with one file and one relation.
func goodValues() []value {
	digest := sha256.Sum256([]byte("payload"))
	return []value{
		str(tagName, "odd"), str(tagVersion, "1.0"), str(tagRelease, "1"), str(tagArch, "x86_64"),
		str(tagSummary, "A test"), str(tagDescription, "A test."), int32s(tagBuildTime, 1700000000),
		int32s(tagSize, 5), str(tagLicense, "MIT"), str(tagSourceRPM, "odd-1.0-1.src.rpm"),
		strs(tagDirNames, "/usr/bin/"), strs(tagBaseNames, "odd"), int32s(tagDirIndexes, 0),
		int16s(tagFileModes, modeFile|0o755), int32s(tagFileFlags, 0),
		strs(1047, "odd"), int32s(1112, senseEqual), strs(1113, "1.0-1"),
		strs(tagPayloadDigest, hex.EncodeToString(digest[:])), int32s(tagDigestKind, 8),
	}
}

// assemble writes a package with that main header.
func assemble(main, payload []byte) []byte {
	digest := sha256.Sum256(main)
	signature := headerOf(regionSignature, str(sigSHA256, hex.EncodeToString(digest[:])))
	var b bytes.Buffer
	lead := make([]byte, leadSize)
	copy(lead, leadMagic+"\x03\x00\x00\x00\x00\x01")
	copy(lead[76:], "\x00\x01\x00\x05")
	b.Write(lead)
	b.Write(signature)
	for b.Len()%8 != 0 {
		b.WriteByte(0)
	}
	b.Write(main)
	b.Write(payload)
	return b.Bytes()
}

func read(data []byte) (*Package, error) {
	return ReadPackage(bytes.NewReader(data), int64(len(data)), "x86_64/odd-1.0-1.x86_64.rpm")
}
