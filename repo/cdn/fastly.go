package cdn

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Fastly asks Fastly, by its API (https://www.fastly.com/documentation/reference/api/purging/): for each object with
// POST /purge/<host>/<path>, or for all objects that are tagged with Keys with POST /service/<service>/purge.
type Fastly struct {
	// Service is the identifier of the service; it is needed with Keys only.
	Service string
	// Keys are surrogate keys to purge instead of addresses; {path} and {host} in them are the object's.
	Keys []string
	// Soft marks objects as out of date instead of removing them, so that Fastly may answer with an old one while it
	// fetches the new, or while the bucket does not answer.
	Soft bool
	// Token is an API token that may purge the service.
	Token string
	// Endpoint is the address of the API; empty is Fastly's own.
	Endpoint string
}

func (f *Fastly) String() string {
	if f.Service == "" {
		return "Fastly"
	}
	return "Fastly service " + f.Service
}

var (
	serviceForm = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)
	keyForm     = regexp.MustCompile(`^[!-~]+$`)
)

// maxKeys is how many surrogate keys fit into one request.
const maxKeys = 256

func (f *Fastly) check() error {
	switch {
	case f.Token == "":
		return errors.New("token is missing: say where an API token is that may purge")
	case f.Service != "" && !serviceForm.MatchString(f.Service):
		return fmt.Errorf("service: %q is not the identifier of a service, which has letters and digits only", f.Service)
	case f.Service == "" && len(f.Keys) > 0:
		return errors.New("service is missing: keys are those of one service")
	}
	for _, key := range f.Keys {
		if len(key) > 1000 || !keyForm.MatchString(key) {
			return fmt.Errorf("keys: %q is not a surrogate key: expected up to 1000 characters without spaces", key)
		}
		if err := known("keys", key, []string{"{path}", "{host}"}); err != nil {
			return err
		}
	}
	if to, err := url.Parse(f.endpoint()); err != nil || to.Host == "" || !confidential(to) {
		return fmt.Errorf("endpoint: %q is not an https address", f.Endpoint)
	}
	return nil
}

func (f *Fastly) endpoint() string {
	return strings.TrimSuffix(cmp.Or(f.Endpoint, "https://api.fastly.com"), "/")
}

func (f *Fastly) client(context.Context) (*http.Client, error) { return strictClient(), nil }

func (f *Fastly) requests(addresses []*url.URL) ([]*request, error) {
	header := http.Header{}
	header.Set("Fastly-Key", f.Token)
	header.Set("Accept", "application/json")
	if f.Soft {
		header.Set("Fastly-Soft-Purge", "1")
	}
	if len(f.Keys) == 0 {
		var all []*request
		for _, a := range addresses {
			all = append(all, &request{
				method: http.MethodPost, url: f.endpoint() + "/purge/" + a.Host + a.EscapedPath(), header: header,
				secret: f.Token, about: []*url.URL{a}, next: statusOK,
			})
		}
		return all, nil
	}
	var keys []string
	for _, a := range addresses {
		for _, key := range f.Keys {
			keys = append(keys, strings.NewReplacer("{path}", a.EscapedPath(), "{host}", a.Host).Replace(key))
		}
	}
	slices.Sort(keys)
	header.Set("Content-Type", "application/json")
	var all []*request
	for some := range slices.Chunk(slices.Compact(keys), maxKeys) {
		body, err := json.Marshal(map[string][]string{"surrogate_keys": some})
		if err != nil {
			return nil, err
		}
		all = append(all, &request{
			method: http.MethodPost, url: f.endpoint() + "/service/" + f.Service + "/purge", header: header,
			body: string(body), secret: f.Token, about: addresses,
		})
	}
	return all, nil
}

// statusOK looks whether the answer to the purge of one address says ok, as in {"status": "ok", "id": "108-…"}.
func statusOK(body []byte) (*request, error) {
	var answer struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if answer.Status != "ok" {
		return nil, fmt.Errorf("the answer's status is %q, not ok", answer.Status)
	}
	return nil, nil
}
