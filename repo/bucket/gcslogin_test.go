package bucket

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// A store that is reached by HTTPS gets the token that the credentials of this machine are good for.
func TestGCSLogin(t *testing.T) {
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "good for an hour", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	t.Cleanup(tokens.Close)
	var asked atomic.Int32
	store := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if got := r.Header.Get("Authorization"); got != "Bearer good for an hour" {
			t.Errorf("%s %s is authorized by %q", r.Method, r.URL.Path, got)
		}
		http.Error(w, `{"error": {"code": 404, "message": "No such object: packages/name"}}`, http.StatusNotFound)
	}))
	t.Cleanup(store.Close)

	file := filepath.Join(t.TempDir(), "credentials.json")
	login := fmt.Sprintf(`{"type": "service_account", "client_email": "a@example.org", "private_key_id": "1", "private_key": %q, "token_uri": %q}`,
		rsaPEM(t), tokens.URL)
	if err := os.WriteFile(file, []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	trusted := x509.NewCertPool()
	trusted.AddCert(store.Certificate())
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	trusting := before.(*http.Transport).Clone()
	trusting.TLSClientConfig = &tls.Config{RootCAs: trusted}
	http.DefaultTransport = trusting

	b, err := Open("gs://packages?endpoint=" + store.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), "name"); !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := b.Open(t.Context(), "name"); !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
	if asked.Load() == 0 {
		t.Error("the store was not asked")
	}
}

func rsaPEM(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
