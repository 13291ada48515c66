package bucket

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/pkgs/repo/bucket/buckettest"
)

// operations are all that a bucket can do.
func operations(t *testing.T, b Bucket) map[string]func() error {
	return map[string]func() error{
		"stat": func() error { _, err := b.Stat(t.Context(), "x"); return err },
		"open": func() error { _, _, err := b.Open(t.Context(), "x"); return err },
		"put": func() error {
			_, err := b.Put(t.Context(), "x", Bytes([]byte("x")), PutOptions{Condition: IfAbsent})
			return err
		},
		"delete": func() error { return b.Delete(t.Context(), "x", "7") },
		"list": func() error {
			for _, err := range b.List(t.Context(), "x") {
				return err
			}
			return nil
		},
	}
}

// TestCloudErrors: what stores answer becomes an error that says what to do.
func TestCloudErrors(t *testing.T) {
	type answers struct {
		status int
		body   string
		header string // X-Amz-Bucket-Region
	}
	google := func(status int, message string) answers {
		return answers{status: status, body: fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"message":%q,"domain":"global"}]}}`, status, message, message)}
	}
	amazon := func(status int, code, region string) answers {
		return answers{status, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>the store's words</Message></Error>`, region}
	}
	all := []string{"stat", "open", "put", "delete", "list"}
	for _, c := range []struct {
		store   string
		answers answers
		ops     []string
		want    []string
	}{
		{"GCS", google(401, "Invalid Credentials"), all, []string{"run gcloud auth application-default login", "Invalid Credentials"}},
		{"GCS", google(403, "x@y does not have storage.objects.delete access to the Google Cloud Storage object."), []string{"delete"}, []string{"grant them roles/storage.objectUser, or storage.objects.delete", "x@y does not"}},
		{"GCS", google(403, "x@y does not have storage.objects.create access"), []string{"put"}, []string{"grant them roles/storage.objectUser, or storage.objects.create, and storage.objects.delete to overwrite"}},
		{"GCS", google(403, "no"), []string{"stat", "open"}, []string{"or storage.objects.get"}},
		{"GCS", google(403, "no"), []string{"list"}, []string{"or storage.objects.list"}},
		{"GCS", google(404, "The specified bucket does not exist."), all, []string{"there is no such bucket: create it, or correct the address"}},
		{"GCS", google(404, "Not Found"), []string{"put", "list"}, []string{"there is no such bucket"}},
		{"GCS", google(400, "Invalid argument."), all[:1], []string{"Invalid argument"}},
		{"S3", amazon(403, "InvalidAccessKeyId", ""), []string{"open", "put", "list"}, []string{"set AWS_ACCESS_KEY_ID", "InvalidAccessKeyId the store's words"}},
		{"S3", amazon(403, "SignatureDoesNotMatch", ""), []string{"open", "put", "list"}, []string{"set AWS_ACCESS_KEY_ID"}},
		{"S3", amazon(400, "ExpiredToken", ""), []string{"open", "put", "list"}, []string{"log in with aws sso login"}},
		{"S3", amazon(403, "AccessDenied", ""), []string{"put"}, []string{"allow them s3:PutObject on the bucket"}},
		{"S3", amazon(403, "AccessDenied", ""), []string{"open"}, []string{"allow them s3:GetObject, and s3:ListBucket to be told of what is missing"}},
		{"S3", amazon(403, "AccessDenied", ""), []string{"stat"}, []string{"s3:GetObject"}},
		{"S3", amazon(403, "AccessDenied", ""), []string{"list"}, []string{"allow them s3:ListBucket"}},
		{"S3", amazon(404, "NoSuchBucket", ""), all, []string{"there is no such bucket"}},
		{"S3", amazon(301, "PermanentRedirect", "eu-north-1"), all, []string{"write ?region=eu-north-1 in its address"}},
		{"S3", amazon(400, "AuthorizationHeaderMalformed", "eu-north-1"), []string{"open", "put", "list"}, []string{"write ?region=eu-north-1 in its address"}},
		{"S3", amazon(501, "NotImplemented", ""), []string{"put"}, []string{"must know conditional writes"}},
		{"S3", amazon(403, "RequestTimeTooSkewed", ""), []string{"put"}, []string{"the clock of this machine is wrong"}},
	} {
		for _, cloud := range clouds {
			if cloud.name != c.store {
				continue
			}
			requests := 0
			b := cloud.open(t, "", func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					requests++
					w.Header().Set("Content-Type", map[string]string{"GCS": "application/json", "S3": "application/xml"}[c.store])
					if c.answers.header != "" {
						w.Header().Set("X-Amz-Bucket-Region", c.answers.header)
					}
					w.WriteHeader(c.answers.status)
					io.WriteString(w, c.answers.body)
				})
			})
			for _, op := range c.ops {
				requests = 0
				err := operations(t, b)[op]()
				var e *Error
				if err == nil || !errors.As(err, &e) || e.Op != op || errors.Is(err, ErrNotExist) || errors.Is(err, ErrCondition) {
					t.Errorf("%s answers %d %s: %s: %v", c.store, c.answers.status, c.answers.body, op, err)
					continue
				}
				for _, want := range c.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s answers %d: %s: got %v, want %q", c.store, c.answers.status, op, err, want)
					}
				}
				if requests > 2 { // one more looks for the bucket
					t.Errorf("%s answers %d: %s took %d requests", c.store, c.answers.status, op, requests)
				}
			}
		}
	}
}

// TestCloudSetup: what is wrong on this side is told, too.
func TestCloudSetup(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, name := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, none)
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "STORAGE_EMULATOR_HOST",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	endpoint := "endpoint=" + url.QueryEscape(server.URL)
	for address, want := range map[string]string{
		"gs://bucket-in-test":                   "run gcloud auth application-default login",
		"s3://bucket-in-test":                   "the bucket's region is not known: add ?region=",
		"s3://bucket-in-test?region=eu-north-1": "there are no S3 credentials that work: set AWS_ACCESS_KEY_ID",
		"s3://bucket-in-test?" + endpoint:       "there are no S3 credentials that work",
		"gs://bucket-in-test?endpoint=" + url.QueryEscape("http://name.invalid"): "name.invalid",
	} {
		b, err := Open(address)
		if err != nil {
			t.Fatal(err)
		}
		b.(*cloud).pace.pause = time.Millisecond
		for op, attempt := range operations(t, b) {
			var e *Error
			var dns *net.DNSError
			switch err := attempt(); {
			case errors.As(err, &dns) && !dns.IsNotFound: // there is no network here at all
			case !errors.As(err, &e) || e.Op != op || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "attempts"):
				t.Errorf("%s: %s: got %v, want %q", address, op, err, want)
			}
		}
	}
	// A server whose certificate nobody vouches for.
	b, err := Open("s3://bucket-in-test?region=eu-north-1&endpoint=" + url.QueryEscape(secure.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	if _, err := b.Stat(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "attempts") {
		t.Errorf("stat: %v", err)
	}
	// A prefix that leaves too little room for names.
	b, err = Open("s3://bucket-in-test/" + strings.Repeat("folder/", 140) + "?" + endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), strings.Repeat("n", 100)); err == nil || !strings.Contains(err.Error(), "choose a shorter prefix") {
		t.Errorf("stat: %v", err)
	}
}

// TestLateCredentials: that credentials are long in coming says nothing about them, and the next attempt may have them.
func TestLateCredentials(t *testing.T) {
	for _, name := range []string{"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	const patience = 300 * time.Millisecond
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * patience)
		io.WriteString(w, `{"AccessKeyId":"key","SecretAccessKey":"secret","Token":"t","Expiration":"2999-01-01T00:00:00Z"}`)
	}))
	defer source.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", source.URL)
	store, err := buckettest.S3(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b, err := Options{Pause: time.Millisecond, Patience: patience}.Open(store.Address(""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Stat(t.Context(), "x"); !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
}
