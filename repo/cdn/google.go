package cdn

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"
)

// Google asks Google Cloud CDN, by the method urlMaps.invalidateCache of the Compute Engine API
// (https://cloud.google.com/compute/docs/reference/rest/v1/urlMaps/invalidateCache), for each object and for all hosts of
// the load balancer, and waits until Google says that every location has done it. It authenticates with Application Default
// Credentials, which need the permissions compute.urlMaps.invalidateCache and compute.globalOperations.get: the role
// Compute Load Balancer Admin has both. Google takes up to 500 such requests a minute and project, and carries each out in
// about ten seconds (https://cloud.google.com/cdn/docs/cache-invalidation-overview).
type Google struct {
	// Project is the identifier of the project, and URLMap the name of the load balancer's URL map in it.
	Project, URLMap string
	// Endpoint is the address of the API; empty is Google's own.
	Endpoint string
}

func (g *Google) String() string { return "Cloud CDN of " + g.Project + "/" + g.URLMap }

var (
	// Identifiers of old projects have a domain in front.
	projectForm = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	urlMapForm  = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

func (g *Google) check() error {
	switch {
	case !projectForm.MatchString(g.Project):
		return fmt.Errorf("project: %q is not the identifier of a project, such as my-project-1", g.Project)
	case !urlMapForm.MatchString(g.URLMap):
		return fmt.Errorf("url-map: %q is not the name of a URL map: gcloud compute url-maps list shows them", g.URLMap)
	}
	if to, err := url.Parse(g.endpoint()); err != nil || to.Host == "" || !confidential(to) {
		return fmt.Errorf("endpoint: %q is not an https address", g.Endpoint)
	}
	return nil
}

func (g *Google) endpoint() string {
	return strings.TrimSuffix(cmp.Or(g.Endpoint, "https://compute.googleapis.com/compute/v1"), "/")
}

const googleLogin = "there are no Google credentials that work: run gcloud auth application-default login, or let GOOGLE_APPLICATION_CREDENTIALS name the file of a key"

// client authenticates with Application Default Credentials.
func (g *Google) client(ctx context.Context) (*http.Client, error) {
	client, _, err := htransport.NewClient(context.WithoutCancel(ctx), option.WithScopes("https://www.googleapis.com/auth/compute"))
	if err != nil {
		return nil, fmt.Errorf("%s (%w)", googleLogin, err)
	}
	client.CheckRedirect = strictClient().CheckRedirect
	client.Transport = &login{client.Transport}
	return client, nil
}

// login tells failures to get a token from failures of the request.
type login struct{ http.RoundTripper }

func (l *login) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if err != nil && (strings.Contains(err.Error(), "auth: ") || strings.Contains(err.Error(), "oauth2: ") || strings.Contains(err.Error(), "credentials: ")) {
		err = &credentialsError{fmt.Errorf("%s (%w)", googleLogin, err)}
	}
	return answer, err
}

// operation is what the API says of work that it has begun.
type operation struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  *struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	} `json:"error"`
}

func (g *Google) requests(addresses []*url.URL) ([]*request, error) {
	global := g.endpoint() + "/projects/" + g.Project + "/global"
	var all []*request
	for _, a := range addresses {
		path := a.EscapedPath()
		if strings.Contains(path, "*") {
			return nil, fmt.Errorf("%s: Cloud CDN takes the * in it for a pattern", a)
		}
		body, err := json.Marshal(map[string]string{"path": path})
		if err != nil {
			return nil, err
		}
		all = append(all, &request{
			// A request that is made again with its identifier is not carried out twice.
			method: http.MethodPost, url: global + "/urlMaps/" + g.URLMap + "/invalidateCache?requestId=" + requestID(),
			header: http.Header{"Content-Type": {"application/json"}}, body: string(body), about: []*url.URL{a},
			next: func(body []byte) (*request, error) { return followOperation(global, body) },
		})
	}
	return all, nil
}

// followOperation asks how far an operation has come, unless it is done.
func followOperation(global string, body []byte) (*request, error) {
	var o operation
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("the answer is not an operation: %w", err)
	}
	switch {
	case o.Error != nil && len(o.Error.Errors) > 0:
		return nil, fmt.Errorf("%s: %s", o.Error.Errors[0].Code, o.Error.Errors[0].Message)
	case o.Error != nil:
		return nil, errors.New("the operation failed, and Google does not say why")
	case o.Status == "DONE":
		return nil, nil
	case o.Name == "":
		return nil, errors.New("the answer is not an operation: it has no name")
	}
	return &request{
		method: http.MethodGet, url: global + "/operations/" + url.PathEscape(o.Name), header: http.Header{},
		next: func(body []byte) (*request, error) { return followOperation(global, body) },
	}, nil
}

// requestID is a random UUID (RFC 9562, version 4).
func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
