// Package kmstest is the part of Google Cloud KMS that signing needs, for tests: one key version of one RSA key, over HTTP as
// https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions describes
// it. A [Server] can be told to fail and to lie.
package kmstest

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Name is the key version that a Server has.
const Name = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"

// Server is a KMS with one key version.
type Server struct {
	URL string
	// Algorithm is that of the key version: RSA_SIGN_PKCS1_4096_SHA512 unless it is changed.
	Algorithm string
	// Fault, if it is set, may change an answer, whose operation is publicKey or asymmetricSign, before it is sent. The
	// result is the status to send; 0 is 200.
	Fault func(operation string, answer map[string]any) int

	key      *rsa.PrivateKey
	mu       sync.Mutex
	requests int // guarded by mu
}

// New starts a server that ends with the test. Its key is that of a file with an armored OpenPGP key that is not locked.
func New(t testing.TB, file string) *Server {
	t.Helper()
	s, stop, err := Start(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

// Start is New for whoever has no test at hand.
func Start(file string) (s *Server, stop func(), err error) {
	key, err := ReadKey(file)
	if err != nil {
		return nil, nil, err
	}
	s = &Server{Algorithm: "RSA_SIGN_PKCS1_4096_SHA512", key: key}
	server := httptest.NewServer(s)
	s.URL = server.URL
	return s, server.Close, nil
}

// SetFault sets Fault while another process may be asking.
func (s *Server) SetFault(fault func(operation string, answer map[string]any) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fault = fault
}

// Lie is a Fault that spoils signatures and gives them the CRC32C that they then have.
func Lie(operation string, answer map[string]any) int {
	if operation == "asymmetricSign" {
		signature, err := base64.StdEncoding.DecodeString(answer["signature"].(string))
		if err != nil {
			panic(err) // we wrote it
		}
		signature[len(signature)-1] ^= 1
		answer["signature"], answer["signatureCrc32c"] = base64.StdEncoding.EncodeToString(signature), crc(signature)
	}
	return 0
}

// ReadKey reads the RSA key of a file with an armored OpenPGP key that is not locked.
func ReadKey(file string) (*rsa.PrivateKey, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := openpgp.ReadArmoredKeyRing(f)
	if err != nil {
		return nil, err
	}
	return list[0].PrivateKey.PrivateKey.(*rsa.PrivateKey), nil
}

// Requests is how many requests were made.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func crc(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	if auth := r.Header.Get("Authorization"); auth != "" {
		http.Error(w, "credentials over http", http.StatusTeapot)
		return
	}
	var answer map[string]any
	operation, status := "", http.StatusOK
	switch {
	case r.Method == "GET" && r.URL.Path == "/v1/"+Name+"/publicKey":
		operation, answer = "publicKey", s.publicKey()
	case r.Method == "POST" && r.URL.Path == "/v1/"+Name+":asymmetricSign":
		operation = "asymmetricSign"
		answer, status = s.sign(r)
	default:
		status = http.StatusNotFound
	}
	s.mu.Lock()
	fault := s.Fault
	s.mu.Unlock()
	if fault != nil && status == http.StatusOK {
		if n := fault(operation, answer); n != 0 {
			status = n
		}
	}
	if status != http.StatusOK {
		answer = map[string]any{"error": map[string]any{"code": status, "message": "the fake says no", "status": "X"}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}

func (s *Server) publicKey() map[string]any {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		panic(err) // an RSA key can always be written
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return map[string]any{"name": Name, "algorithm": s.Algorithm, "pem": string(text), "pemCrc32c": crc(text), "protectionLevel": "HSM"}
}

// sign refuses a digest of another kind than the key's algorithm says, and one that has not the CRC32C it came with.
func (s *Server) sign(r *http.Request) (map[string]any, int) {
	var request struct {
		Digest       map[string]string `json:"digest"`
		DigestCrc32c string            `json:"digestCrc32c"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, http.StatusBadRequest
	}
	name, hash := "sha512", crypto.SHA512
	if strings.HasSuffix(s.Algorithm, "SHA256") {
		name, hash = "sha256", crypto.SHA256
	}
	digest, err := base64.StdEncoding.DecodeString(request.Digest[name])
	if err != nil || len(digest) != hash.Size() || len(request.Digest) != 1 {
		return nil, http.StatusBadRequest
	}
	if request.DigestCrc32c != "" && request.DigestCrc32c != crc(digest) {
		return nil, http.StatusBadRequest
	}
	signature, err := rsa.SignPKCS1v15(nil, s.key, hash, digest)
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	return map[string]any{
		"name": Name, "protectionLevel": "HSM", "signature": base64.StdEncoding.EncodeToString(signature), "signatureCrc32c": crc(signature),
		"verifiedDigestCrc32c": request.DigestCrc32c != "",
	}, http.StatusOK
}
