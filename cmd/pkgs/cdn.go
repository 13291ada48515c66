package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/cdn"
)

// cdnConfig says what is between the bucket and its users, and has to show what was published before a publication counts as
// done. Without it, nothing is purged, and what was published is read back from the bucket only.
type cdnConfig struct {
	// Purge says how the CDN is asked to forget the objects that changed. Without it, it is not: for a CDN that heeds
	// Cache-Control.
	Purge *purgeConfig `yaml:"purge"`
	// Readback tells whether to wait until the public address, url, shows what was published. Without it, it is waited for.
	Readback *bool `yaml:"readback"`
	// Wait is how long to wait for that at most; without it 2m.
	Wait time.Duration `yaml:"wait"`
	// Timeout is how long one request may take, and Retries how often one is made again that failed; without them 30s and 4.
	Timeout time.Duration `yaml:"timeout"`
	Retries *int          `yaml:"retries"`
}

// purgeConfig has one of three forms.
type purgeConfig struct {
	HTTP   *httpPurgeConfig   `yaml:"http"`
	Google *googlePurgeConfig `yaml:"google"`
	Fastly *fastlyPurgeConfig `yaml:"fastly"`
}

// httpPurgeConfig is a request for each object, or for a batch of them: see cdn.HTTP for the placeholders.
type httpPurgeConfig struct {
	Method  string            `yaml:"method,required"`
	URL     string            `yaml:"url,required"`
	Headers map[string]string `yaml:"headers"`
	Body    string            `yaml:"body"`
	Batch   int               `yaml:"batch"`
	Accept  []int             `yaml:"accept"`
	Secret  *secretConfig     `yaml:"secret"`
}

type googlePurgeConfig struct {
	Project string `yaml:"project,required"`
	URLMap  string `yaml:"url-map,required"`
	// Endpoint is another address of the API than Google's.
	Endpoint string `yaml:"endpoint"`
}

type fastlyPurgeConfig struct {
	Service string       `yaml:"service"`
	Keys    []string     `yaml:"keys"`
	Soft    bool         `yaml:"soft"`
	Token   secretConfig `yaml:"token,required"`
	// Endpoint is another address of the API than Fastly's.
	Endpoint string `yaml:"endpoint"`
}

// secretConfig says where a secret is; it is never in the configuration itself.
type secretConfig struct {
	// Env is the name of an environment variable, and File a file; one of them.
	Env  string `yaml:"env"`
	File string `yaml:"file"`
}

// check looks at everything but the secrets, which need not be there for what does not publish.
func (c *cdnConfig) check(publicURL string) error {
	if c == nil {
		return nil
	}
	if c.Wait < 0 || c.Wait > time.Hour || c.Timeout < 0 || c.Timeout > 10*time.Minute {
		return errors.New("wait and timeout: expected times such as 2m, of at most 1h and 10m")
	}
	if c.Retries != nil && (*c.Retries < 0 || *c.Retries > 20) {
		return fmt.Errorf("retries: %d is not between 0 and 20", *c.Retries)
	}
	form, err := c.form(func(s secretConfig) (string, error) {
		if (s.Env == "") == (s.File == "") {
			return "", errors.New("expected either env, the name of an environment variable, or file, the name of a file")
		}
		return "-", nil
	})
	if err != nil || form == nil {
		return err
	}
	if _, err := cdn.New(cdn.Config{URL: publicURL, Form: form}); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

// reads tells whether a publication is to be seen at the public address before it counts as done.
func (c *cdnConfig) reads() bool { return c != nil && (c.Readback == nil || *c.Readback) }

// form is how the CDN is purged, nil if it is not; secret resolves what stands for a secret.
func (c *cdnConfig) form(secret func(secretConfig) (string, error)) (cdn.Form, error) {
	p := c.Purge
	switch {
	case p == nil:
		return nil, nil
	case p.HTTP != nil && p.Google == nil && p.Fastly == nil:
		h := p.HTTP
		form := &cdn.HTTP{Method: h.Method, URL: h.URL, Header: h.Headers, Body: h.Body, Batch: h.Batch, Accept: h.Accept}
		if h.Secret == nil {
			return form, nil
		}
		var err error
		if form.Secret, err = secret(*h.Secret); err != nil {
			return nil, fmt.Errorf("purge.http.secret: %w", err)
		}
		return form, nil
	case p.Google != nil && p.HTTP == nil && p.Fastly == nil:
		return &cdn.Google{Project: p.Google.Project, URLMap: p.Google.URLMap, Endpoint: p.Google.Endpoint}, nil
	case p.Fastly != nil && p.HTTP == nil && p.Google == nil:
		f := p.Fastly
		token, err := secret(f.Token)
		if err != nil {
			return nil, fmt.Errorf("purge.fastly.token: %w", err)
		}
		return &cdn.Fastly{Service: f.Service, Keys: f.Keys, Soft: f.Soft, Token: token, Endpoint: f.Endpoint}, nil
	}
	return nil, errors.New("purge: expected one of http, google and fastly")
}

// openCDN returns what purges the configuration's CDN, or nil if there is nothing to purge.
func (p *program) openCDN(cfg *config) (*cdn.CDN, error) {
	if cfg.CDN == nil || cfg.CDN.Purge == nil {
		return nil, nil
	}
	form, err := cfg.CDN.form(func(s secretConfig) (string, error) { return p.purgeSecret(cfg, s) })
	if err != nil {
		return nil, fmt.Errorf("%s: cdn: %w", cfg.file, err)
	}
	c := cdn.Config{URL: cfg.URL, Form: form, Timeout: cfg.CDN.Timeout, UserAgent: userAgent(), Log: p.log}
	if cfg.CDN.Retries != nil {
		c.Attempts = *cfg.CDN.Retries + 1
	}
	return cdn.New(c)
}

func userAgent() string { return "pkgs/" + version }

// purgeSecret reads a secret from where the configuration says that it is.
func (p *program) purgeSecret(cfg *config, s secretConfig) (string, error) {
	value, where := p.getenv(s.Env), "the environment variable "+s.Env
	if s.File != "" {
		data, err := os.ReadFile(cfg.path(s.File))
		if err != nil {
			return "", err
		}
		value, where = string(data), "the file "+s.File
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return "", fmt.Errorf("%s is empty: it should have the secret", where)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%s has more than one line, or characters that no secret has", where)
	}
	return value, nil
}

// readBack returns what reads published objects back by their public address, or nil if the configuration does not want it.
func (p *program) readBack(cfg *config, objects func(context.Context) ([]cdn.Object, error)) *cdn.ReadBack {
	if !cfg.CDN.reads() {
		return nil
	}
	reader := p.publicly(cfg)
	reader.Objects, reader.Wait = objects, cfg.CDN.Wait
	return reader
}

// publicly reads what the public address hands out.
func (p *program) publicly(cfg *config) *cdn.ReadBack {
	reader := &cdn.ReadBack{URL: cfg.URL, UserAgent: userAgent(), Log: p.log}
	if cfg.CDN != nil {
		reader.Timeout = cfg.CDN.Timeout
	}
	return reader
}
