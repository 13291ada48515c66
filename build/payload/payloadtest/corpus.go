// Package payloadtest makes the bytes that encoders and decoders of payloads are tried with: [Text], which compresses about as
// well as programs do, and [Noise], which does not compress. What they make is the same every time. No program imports it.
package payloadtest

import "math/rand/v2"

// Text makes size bytes that compress about as well as programs do: words drawn from a vocabulary, and some noise. Another
// seed is another vocabulary.
func Text(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	words := make([][]byte, 500)
	for i := range words {
		words[i] = make([]byte, 2+r.IntN(20))
		for j := range words[i] {
			words[i][j] = byte(r.Uint32())
		}
	}
	var b []byte
	for len(b) < size {
		b = append(b, words[r.IntN(1+r.IntN(len(words)))]...)
		if r.IntN(4) == 0 {
			b = append(b, byte(r.Uint32()))
		}
	}
	return b[:size]
}

// Noise makes size bytes that do not compress, the first of which are those of every other size.
func Noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}
