package release

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/build/release/releasetest"
	"sigs.k8s.io/pkgs/build/release/sigstore"
)

const (
	signer = "krel-staging@example.org"
	issuer = "https://accounts.example.org"
)

// signedSource is a source that demands signatures.
func signedSource(t *testing.T, url string, by *releasetest.Sigstore) *Source {
	t.Helper()
	v, err := sigstore.NewVerifier(by.TrustedRoot(), sigstore.Policy{Identity: signer, Issuer: issuer})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, url)
	s.config.Signatures = v
	return s
}

func TestSignatures(t *testing.T) {
	const file = "v1.34.1/" + kubelet
	by, stranger := releasetest.NewSigstore(t), releasetest.NewSigstore(t)
	good := by.Sign([]byte(content), releasetest.Signing{Identity: signer, Issuer: issuer})
	other := by.Sign([]byte("other"), releasetest.Signing{Identity: signer, Issuer: issuer})
	mallory := by.Sign([]byte(content), releasetest.Signing{Identity: "mallory@example.org", Issuer: issuer})
	forged := stranger.Sign([]byte(content), releasetest.Signing{Identity: signer, Issuer: issuer})
	for name, c := range map[string]struct {
		files map[string]string
		// from is what the file with the signature ends in; want is what the error says.
		from, want string
		missing    bool
	}{
		"sig and cert":     {map[string]string{".sig": string(good.Sig), ".cert": string(good.Cert)}, ".sig", "", false},
		"bundle":           {map[string]string{".sigstore.json": string(good.Bundle)}, ".sigstore.json", "", false},
		"sigstore":         {map[string]string{".sigstore": string(good.Bundle)}, ".sigstore", "", false},
		"cosign":           {map[string]string{".bundle": string(good.CosignBundle)}, ".bundle", "", false},
		"first counts":     {map[string]string{".bundle": string(good.Bundle), ".sig": "x", ".cert": "x"}, ".bundle", "", false},
		"none":             {nil, "", "has no signature by " + signer + " (issuer " + issuer + "): tried .sigstore.json, .sigstore, .bundle, .sig", true},
		"no certificate":   {map[string]string{".sig": string(good.Sig)}, "", "there is .sig but no .cert", true},
		"of another file":  {map[string]string{".sig": string(other.Sig), ".cert": string(other.Cert)}, ".sig", "not one by the certificate's key", false},
		"bundle for other": {map[string]string{".bundle": string(other.Bundle)}, ".bundle", "another file", false},
		"by mallory":       {map[string]string{".sig": string(mallory.Sig), ".cert": string(mallory.Cert)}, ".sig", `it is signed by "mallory@example.org"`, false},
		"mallory's bundle": {map[string]string{".sigstore": string(mallory.Bundle)}, ".sigstore", `"mallory@example.org" (issuer "` + issuer + `"), expected ` + signer, false},
		"forged":           {map[string]string{".sig": string(forged.Sig), ".cert": string(forged.Cert)}, ".sig", "does not lead to an authority", false},
		"bad one first":    {map[string]string{".sigstore.json": "{}", ".sig": string(good.Sig), ".cert": string(good.Cert)}, ".sigstore.json", "not a Sigstore bundle", false},
		"large":            {map[string]string{".sig": strings.Repeat("A", 1<<20), ".cert": string(good.Cert)}, "", "too large", false},
	} {
		for _, algorithm := range []string{"sha256", "sha512"} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				files := map[string]string{file: content, file + ".sha256": hex256(content)}
				if algorithm == "sha512" {
					files = map[string]string{file: content, file + ".sha512": hex512(content)}
				}
				for suffix, data := range c.files {
					files[file+suffix] = data
				}
				dir := folderWith(t, files)
				server := httptest.NewServer(http.FileServer(http.Dir(dir)))
				defer server.Close()
				for _, url := range []string{dir, server.URL} {
					s := signedSource(t, url, by)
					for range 2 { // the second finds the file in the cache
						f, err := s.Fetch(t.Context(), version(t, "v1.34.1"), kubelet)
						if c.want == "" {
							checkSigned(t, f, err, url+"/"+file+c.from, c.files)
							continue
						}
						if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) || errors.Is(err, fs.ErrNotExist) != c.missing {
							t.Fatalf("got %v, want %s", err, c.want)
						}
						var wrong *SignatureError
						if name != "large" && (!errors.As(err, &wrong) || wrong.URL != url+"/"+file || wrong.Want.Identity != signer || !strings.HasSuffix(wrong.SignatureURL, c.from)) {
							t.Errorf("got %#v", wrong)
						}
						if c := cached(t, s); len(c) != 0 {
							t.Errorf("the cache holds %q", c)
						}
					}
				}
			})
		}
	}
}

func checkSigned(t *testing.T, f File, err error, url string, files map[string]string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	want := Signature{Signer: sigstore.Signer{Identity: signer, Issuer: issuer}, URL: url}
	for suffix, data := range files {
		switch {
		case strings.HasSuffix(url, suffix):
			want.SHA256 = sha256.Sum256([]byte(data))
			if suffix != ".sig" {
				want.Logged = time.Date(2025, 9, 10, 11, 13, 13, 0, time.UTC)
			}
		case suffix == ".cert" && strings.HasSuffix(url, ".sig"):
			want.Certificate = sha256.Sum256([]byte(data))
		}
	}
	if f.Signature == nil || *f.Signature != want {
		t.Errorf("got %+v, want %+v", f.Signature, want)
	}
}

// A bad signature shows before the file itself is read, and a file that is in the cache already is not beyond suspicion.
func TestSignatureComesFirst(t *testing.T) {
	by := releasetest.NewSigstore(t)
	bad := by.Sign([]byte("other"), releasetest.Signing{Identity: signer, Issuer: issuer})
	const file = "/v1.34.1/" + kubelet
	var reads int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{file: content, file + ".sha256": hex256(content), file + ".sigstore.json": string(bad.Bundle)}
		data, ok := answers[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.URL.Path == file && r.Method == http.MethodGet:
			reads++
			fallthrough
		default:
			w.Write([]byte(data))
		}
	}))
	defer server.Close()
	s := signedSource(t, server.URL, by)
	_, err := s.Stat(t.Context(), version(t, "v1.34.1"), kubelet)
	var wrong *SignatureError
	if !errors.As(err, &wrong) || reads != 0 {
		t.Errorf("got %v after %d reads", err, reads)
	}
	s.config.Signatures = nil
	if _, err := s.Fetch(t.Context(), version(t, "v1.34.1"), kubelet); err != nil || reads != 1 {
		t.Errorf("got %v after %d reads", err, reads)
	}
	again := signedSource(t, server.URL, by)
	again.cache = s.cache
	if _, err := again.Fetch(t.Context(), version(t, "v1.34.1"), kubelet); !errors.As(err, &wrong) || reads != 1 {
		t.Errorf("got %v after %d reads", err, reads)
	}
}
