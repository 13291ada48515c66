package cdn

import (
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

// HTTP asks a CDN, or a cache such as Varnish or nginx, by requests that are written down with placeholders:
//
//	{url}     the object's public address, such as https://pkgs.example.org/core:/stable:/v1.35/deb/InRelease
//	{host}    its host, with the port if there is one: pkgs.example.org
//	{path}    the rest, which begins with a slash: /core:/stable:/v1.35/deb/InRelease
//	{urls}    the addresses of all objects of the request, as a JSON list of strings
//	{paths}   their paths, likewise
//	{secret}  Secret, in the values of headers and in the body only
//
// A Batch of 0 or 1 makes a request for each object, which {url} and {path} stand for. A larger one makes a request for so
// many objects, which {urls} and {paths} stand for.
type HTTP struct {
	// Method is the request's method, such as PURGE or POST.
	Method string
	// URL is where the request goes.
	URL string
	// Header are the request's headers.
	Header map[string]string
	// Body is the request's body. It is JSON, unless Header has another Content-Type.
	Body  string
	Batch int
	// Accept are status codes beside 2xx that mean that the object is not cached any more. Some caches answer 404 when it
	// was not cached before.
	Accept []int
	Secret string
}

func (h *HTTP) String() string { return "the cache behind " + h.URL }

var (
	placeholder = regexp.MustCompile(`\{[a-z]+\}`)
	methodForm  = regexp.MustCompile(`^[A-Z]+$`)
	headerForm  = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

// confidentialHeaders have values that nobody should write into a configuration file.
var confidentialHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie", "Fastly-Key", "X-Api-Key", "X-Auth-Key", "X-Auth-Token", "Api-Key"}

func (h *HTTP) check() error {
	if !methodForm.MatchString(h.Method) {
		return fmt.Errorf("method: %q is not a method such as PURGE or POST", h.Method)
	}
	if h.Batch < 0 || h.Batch > 10000 {
		return fmt.Errorf("batch: %d is not between 1 and 10000", h.Batch)
	}
	for _, code := range h.Accept {
		if code < 300 || code > 499 {
			return fmt.Errorf("accept: %d is not a status that could mean success: expected 300 to 499, such as 404", code)
		}
	}
	single := []string{"{url}", "{path}", "{host}"}
	if h.Batch > 1 {
		single = []string{"{host}"}
	}
	if err := known("url", h.URL, single); err != nil {
		return err
	}
	inBody := append(slices.Clone(single), "{secret}", "{urls}", "{paths}")
	if err := known("body", h.Body, inBody); err != nil {
		return err
	}
	secret := strings.Contains(h.Body, "{secret}")
	for name, value := range h.Header {
		if !headerForm.MatchString(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("headers: %q is not a header with a value in one line", name)
		}
		if err := known("headers."+name, value, append(slices.Clone(single), "{secret}")); err != nil {
			return err
		}
		confidential := slices.ContainsFunc(confidentialHeaders, func(c string) bool { return strings.EqualFold(c, name) })
		if confidential && !strings.Contains(value, "{secret}") {
			return fmt.Errorf("headers.%s: a secret does not belong into this file: write {secret} in its place, and say with secret where it is", name)
		}
		secret = secret || strings.Contains(value, "{secret}")
	}
	names := h.URL + h.Body
	if !strings.Contains(names, "{url") && !strings.Contains(names, "{path") {
		return errors.New("neither url nor body says which object is meant: expected {url} or {path} in one of them, or {urls} or {paths} in the body")
	}
	if secret != (h.Secret != "") {
		return errors.New("secret and {secret} go together: the one says where the secret is, the other where it goes")
	}
	to, err := url.Parse(h.fill(h.URL, []*url.URL{{Scheme: "https", Host: "example.org", Path: "/object"}}))
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" || to.User != nil {
		return fmt.Errorf("url: %q does not make an http or https address without a password", h.URL)
	}
	if secret && !confidential(to) {
		return fmt.Errorf("url: %q is not https, and a secret does not go over the network in the clear", h.URL)
	}
	return nil
}

// known refuses placeholders that do not exist or have no meaning where they stand.
func known(where, template string, names []string) error {
	for _, p := range placeholder.FindAllString(template, -1) {
		if !slices.Contains(names, p) {
			return fmt.Errorf("%s: %s means nothing here: expected one of %s", where, p, strings.Join(names, ", "))
		}
	}
	return nil
}

func (h *HTTP) client(context.Context) (*http.Client, error) { return strictClient(), nil }

func (h *HTTP) requests(addresses []*url.URL) ([]*request, error) {
	var all []*request
	for some := range slices.Chunk(addresses, max(1, h.Batch)) {
		r := &request{
			method: h.Method, url: h.fill(h.URL, some), header: http.Header{}, body: h.fill(h.Body, some),
			secret: h.Secret, accept: h.Accept, about: some,
		}
		if h.Body != "" {
			r.header.Set("Content-Type", "application/json")
		}
		for name, value := range h.Header {
			r.header.Set(name, h.fill(value, some))
		}
		// With {url} in it, where the secret goes depends on the object.
		if to, err := url.Parse(r.url); h.Secret != "" && (err != nil || !confidential(to)) {
			return nil, fmt.Errorf("%s is not https, and a secret does not go over the network in the clear", r.url)
		}
		all = append(all, r)
	}
	return all, nil
}

// fill puts the values of objects, and the secret, into a template.
func (h *HTTP) fill(template string, objects []*url.URL) string {
	return placeholder.ReplaceAllStringFunc(template, func(p string) string {
		switch p {
		case "{url}":
			return objects[0].String()
		case "{host}":
			return objects[0].Host
		case "{path}":
			return objects[0].EscapedPath()
		case "{urls}":
			return list(objects, (*url.URL).String)
		case "{paths}":
			return list(objects, (*url.URL).EscapedPath)
		case "{secret}":
			return h.Secret
		}
		return p
	})
}

// list is a JSON list of what objects are called.
func list(objects []*url.URL, call func(*url.URL) string) string {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = call(o)
	}
	data, _ := json.Marshal(names) // strings always can be
	return string(data)
}
