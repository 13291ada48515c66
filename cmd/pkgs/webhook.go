package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sigs.k8s.io/pkgs/repo/layout"
	"sigs.k8s.io/pkgs/repo/reconcile"
)

// webhookConfig says where alarms go. Whoever knows the address of a chat's webhook can write to it, so it is not in the
// configuration itself.
type webhookConfig struct {
	// URLFile is a file with the address and URLEnv an environment variable that holds it. One of them is given.
	URLFile string `yaml:"url-file"`
	URLEnv  string `yaml:"url-env"`
}

func (c *webhookConfig) check() error {
	if (c.URLFile == "") == (c.URLEnv == "") {
		return errors.New("reconcile.webhook: expected either url-file or url-env")
	}
	return nil
}

// alarmMessage is the body of the request: text is what chats show.
type alarmMessage struct {
	Text   string       `json:"text"`
	Bucket string       `json:"bucket"`
	Time   time.Time    `json:"time"`
	Alarms []alarmEntry `json:"alarms"`
}

type alarmEntry struct {
	Stream layout.Stream `json:"stream"`
	reconcile.Finding
}

// alarm tells the webhook of the alarms of a report.
func (p *program) alarm(ctx context.Context, cfg *config, report *reconcile.Report) error {
	hook := cfg.Reconcile.Webhook
	address := p.getenv(hook.URLEnv)
	if hook.URLFile != "" {
		data, err := os.ReadFile(cfg.path(hook.URLFile))
		if err != nil {
			return fmt.Errorf("reconcile.webhook: %w", err)
		}
		address = strings.TrimSpace(string(data))
	}
	message := alarmMessage{Bucket: report.Bucket, Time: report.Time, Alarms: []alarmEntry{}}
	var text strings.Builder
	for stream, f := range report.All {
		if f.Severity == reconcile.Alarm && !f.Repaired {
			message.Alarms = append(message.Alarms, alarmEntry{stream, f})
			if len(message.Alarms) <= 10 {
				fmt.Fprintf(&text, "\n%s %s: %s %s", stream, f.Kind, f.Object, f.Detail)
			}
		}
	}
	message.Text = fmt.Sprintf("pkgs: %d alarms in %s%s", len(message.Alarms), report.Bucket, text.String())
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if err := p.post(ctx, http.MethodPost, address, "application/json", data); err != nil {
		return fmt.Errorf("the alarm could not be delivered: reconcile.webhook: %w", err)
	}
	return nil
}

// postTries is how often a message is sent that does not get through.
const postTries = 4

// post sends a message. Its errors do not tell the address, which may be a secret.
func (p *program) post(ctx context.Context, method, address, contentType string, body []byte) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("the address is not one of http or https")
	}
	client := &http.Client{Timeout: 10 * time.Second}
	var last error
	for try := range postTries {
		if try > 0 {
			select {
			case <-time.After(time.Duration(1<<try) * 250 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
		if err != nil {
			return errors.New("the address is not one of http or https")
		}
		request.Header.Set("Content-Type", contentType)
		response, err := client.Do(request)
		if err != nil {
			var problem *url.Error
			if errors.As(err, &problem) {
				err = problem.Err
			}
			last = fmt.Errorf("%s: %w", u.Host, err)
			continue
		}
		io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
		response.Body.Close()
		if response.StatusCode < 300 {
			return nil
		}
		last = fmt.Errorf("%s: %s", u.Host, response.Status)
		if response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests {
			return last
		}
	}
	return last
}
