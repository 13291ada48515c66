package cdn

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFastlyURLs(t *testing.T) {
	a := newAPI(t, func(n int, c call) (int, map[string]string, string) {
		if c.header.Get("Fastly-Key") != "t0ken" {
			return 401, nil, `{"msg": "Provided credentials are missing or invalid"}`
		}
		return 200, nil, `{"status": "ok", "id": "108-1391560174-974124"}`
	})
	form := &Fastly{Token: "t0ken", Soft: true, Endpoint: a.URL}
	if err := newCDN(t, "https://pkgs.example.org", form).Purge(t.Context(), []string{inRelease, repomd}); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range a.all() {
		paths = append(paths, c.method+" "+c.path)
		if c.header.Get("Fastly-Soft-Purge") != "1" || c.header.Get("Accept") != "application/json" || c.header.Get("User-Agent") != "pkgs/test" {
			t.Errorf("got the header %v", c.header)
		}
	}
	slices.Sort(paths)
	if want := []string{"POST /purge/pkgs.example.org/" + inRelease, "POST /purge/pkgs.example.org/" + repomd}; !slices.Equal(paths, want) {
		t.Errorf("got %q, want %q", paths, want)
	}
	form.Token, form.Soft = "wrong-t0ken", false
	err := newCDN(t, "https://pkgs.example.org", form).Purge(t.Context(), []string{inRelease})
	mustNotTell(t, err, form.Token)
	if !strings.Contains(err.Error(), "401 Unauthorized") || !strings.Contains(err.Error(), "credentials are missing or invalid") {
		t.Error(err)
	}
	if last := a.all()[2]; last.header.Get("Fastly-Soft-Purge") != "" {
		t.Error("a purge that is not to be soft is")
	}
	for _, answer := range []string{"", "<html>", `{"status": "failed"}`} {
		a := newAPI(t, func(int, call) (int, map[string]string, string) { return 200, nil, answer })
		err := newCDN(t, "https://pkgs.example.org", &Fastly{Token: "t", Endpoint: a.URL}).Purge(t.Context(), []string{inRelease})
		if err == nil {
			t.Errorf("the answer %q counts as success", answer)
		}
	}
}

func TestFastlyKeys(t *testing.T) {
	a := newAPI(t, func(n int, c call) (int, map[string]string, string) { return 200, nil, `{"a": "1"}` })
	form := &Fastly{Token: "t0ken", Service: "SU1Z0isxPaozGVKXdv0eY", Keys: []string{"pkgs", "{host}{path}"}, Endpoint: a.URL}
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("core:/stable:/v1.%d/deb/InRelease", i))
	}
	if err := newCDN(t, "https://pkgs.example.org", form).Purge(t.Context(), names); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, c := range a.all() {
		var body struct {
			Keys []string `json:"surrogate_keys"`
		}
		decode(t, c.body, &body)
		if c.method != "POST" || c.path != "/service/SU1Z0isxPaozGVKXdv0eY/purge" || c.header.Get("Fastly-Key") != "t0ken" || len(body.Keys) > 256 {
			t.Errorf("%s %s with %d keys", c.method, c.path, len(body.Keys))
		}
		for _, key := range body.Keys {
			found[key] = true
		}
	}
	if len(a.all()) != 2 || len(found) != 301 || !found["pkgs"] || !found["pkgs.example.org/core:/stable:/v1.299/deb/InRelease"] {
		t.Errorf("%d calls, %d keys", len(a.all()), len(found))
	}
	for want, form := range map[string]*Fastly{
		"token is missing":    {},
		"service: \"a/b\"":    {Token: "t", Service: "a/b"},
		"service is missing":  {Token: "t", Keys: []string{"k"}},
		"is not a surrogate":  {Token: "t", Service: "s", Keys: []string{"a b"}},
		"{stream} means":      {Token: "t", Service: "s", Keys: []string{"{stream}"}},
		"is not an https add": {Token: "t", Endpoint: "http://api.fastly.com"},
	} {
		if _, err := New(Config{URL: "https://pkgs.example.org", Form: form}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// credentials makes the file of a service account whose tokens come from an address, and names it in the environment.
func credentials(t *testing.T, tokens string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "my-project-1", "private_key_id": "1", "client_email": "pkgs@my-project-1.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

// The invalidation is authenticated with a token for the service account, has the form that the API documents, and is
// waited for.
func TestGoogle(t *testing.T) {
	tokens := newAPI(t, func(n int, c call) (int, map[string]string, string) {
		form, err := url.ParseQuery(c.body)
		if err != nil || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || strings.Count(form.Get("assertion"), ".") != 2 {
			return 400, nil, `{"error": "invalid_request"}`
		}
		return 200, map[string]string{"Content-Type": "application/json"}, `{"access_token": "the-t0ken", "token_type": "Bearer", "expires_in": 3600}`
	})
	credentials(t, tokens.URL)
	const operation = `{"kind": "compute#operation", "name": "operation-17", "status": %q, "operationType": "invalidateCache"%s}`
	polls := 0
	a := newAPI(t, func(n int, c call) (int, map[string]string, string) {
		switch {
		case c.header.Get("Authorization") != "Bearer the-t0ken":
			return 401, nil, `{"error": {"code": 401}}`
		case n == 0:
			return 503, nil, ""
		case c.method == "POST" && c.path == "/compute/v1/projects/my-project-1/global/urlMaps/pkgs-map/invalidateCache":
			return 200, nil, fmt.Sprintf(operation, "PENDING", "")
		case c.method == "GET" && c.path == "/compute/v1/projects/my-project-1/global/operations/operation-17":
			if polls++; polls < 3 {
				return 200, nil, fmt.Sprintf(operation, "RUNNING", "")
			}
			return 200, nil, fmt.Sprintf(operation, "DONE", "")
		}
		return 404, nil, c.path
	})
	form := &Google{Project: "my-project-1", URLMap: "pkgs-map", Endpoint: a.URL + "/compute/v1"}
	if err := newCDN(t, "https://pkgs.example.org", form).Purge(t.Context(), []string{inRelease}); err != nil {
		t.Fatal(err)
	}
	calls := a.all()
	if len(calls) != 5 || calls[0].query != calls[1].query || len(calls[0].query) != len("requestId=")+36 {
		t.Errorf("got %d calls, the first with %q and %q", len(calls), calls[0].query, calls[1].query)
	}
	var rule struct{ Path string }
	if decode(t, calls[1].body, &rule); rule.Path != "/"+inRelease || calls[1].header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s", calls[1].body)
	}

	for name, test := range map[string]struct {
		answer func(n int, c call) (int, map[string]string, string)
		want   string
	}{
		"permission": {func(n int, c call) (int, map[string]string, string) {
			return 403, nil, `{"error": {"message": "Required 'compute.urlMaps.invalidateCache' permission for 'projects/my-project-1/global/urlMaps/pkgs-map'"}}`
		}, "403 Forbidden: {\"error\": {\"message\": \"Required 'compute.urlMaps.invalidateCache' permission"},
		"failed operation": {func(n int, c call) (int, map[string]string, string) {
			return 200, nil, fmt.Sprintf(operation, "DONE", `, "error": {"errors": [{"code": "RESOURCE_NOT_FOUND", "message": "gone"}]}`)
		}, "RESOURCE_NOT_FOUND: gone"},
		"something else": {func(n int, c call) (int, map[string]string, string) { return 200, nil, "{}" }, "is not an operation"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, test.answer)
			form := &Google{Project: "my-project-1", URLMap: "pkgs-map", Endpoint: a.URL}
			err := newCDN(t, "https://pkgs.example.org", form).Purge(t.Context(), []string{inRelease})
			mustNotTell(t, err, "the-t0ken")
			if !strings.Contains(err.Error(), test.want) || len(a.all()) != 1 {
				t.Errorf("after %d calls: %v", len(a.all()), err)
			}
		})
	}
}

// Credentials that do not work are not tried again and again, and the error says what to do.
func TestGoogleLogin(t *testing.T) {
	tokens := newAPI(t, func(n int, c call) (int, map[string]string, string) {
		return 400, map[string]string{"Content-Type": "application/json"}, `{"error": "invalid_grant", "error_description": "account not found"}`
	})
	a := newAPI(t, func(n int, c call) (int, map[string]string, string) { return 200, nil, "{}" })
	form := &Google{Project: "my-project-1", URLMap: "pkgs-map", Endpoint: a.URL}
	for name, login := range map[string]func(){
		"refused": func() { credentials(t, tokens.URL) },
		"none":    func() { t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json")) },
	} {
		login()
		err := newCDN(t, "https://pkgs.example.org", form).Purge(t.Context(), []string{inRelease})
		if err == nil || !strings.Contains(err.Error(), "gcloud auth application-default login") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(tokens.all()); n != 1 {
		t.Errorf("asked %d times for a token", n)
	}
	if n := len(a.all()); n != 0 {
		t.Errorf("%d calls without a token", n)
	}
	for want, form := range map[string]*Google{
		"project: \"\"":        {URLMap: "m"},
		"url-map: \"M/x\"":     {Project: "my-project-1", URLMap: "M/x"},
		"is not an https addr": {Project: "my-project-1", URLMap: "m", Endpoint: "http://compute.googleapis.com"},
	} {
		if _, err := New(Config{URL: "https://pkgs.example.org", Form: form}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
