package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/pkgs/testdata/bench/publish/fixture"
)

// rclone copies a directory to a store with 64 transfers, as its users speed it up.
func rclone(ctx context.Context, dir string, to *store) (fixture.Result, error) {
	remote := ":s3,provider=Other,access_key_id=key,secret_access_key=secret,region=eu-test-1,endpoint=\"" + to.far.url() + "\":bucket-in-test"
	if to.Scheme == "gs" {
		remote = ":googlecloudstorage,anonymous,endpoint=\"" + to.far.url() + "/storage/v1/\":bucket-in-test"
	}
	cmd := exec.CommandContext(ctx, "rclone", "copy", dir, remote, "--transfers", "64", "--config", "/dev/null", "--retries", "1")
	r, _, err := run(cmd)
	return r, err
}

// aptly is a home of aptly's whose repository is published to a store in the form that aptly has for it.
type aptly struct {
	ctx    context.Context
	dir    string
	config string
}

func newAptly(ctx context.Context, dir string, to *store) (*aptly, error) {
	a := &aptly{ctx, dir, filepath.Join(dir, "aptly.conf")}
	config := map[string]any{
		"rootDir": dir, "gpgDisableSign": true, "gpgDisableVerify": true, "skipContentsPublishing": true, "skipBz2Publishing": true,
		"S3PublishEndpoints": map[string]any{"bench": map[string]any{
			"region": "eu-test-1", "bucket": "bucket-in-test", "endpoint": to.far.url(), "awsAccessKeyID": "key", "awsSecretAccessKey": "secret", "acl": "none",
			"forceSigV2": false, "disableMultiDel": true,
		}},
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(a.config, data, 0o644); err != nil {
		return nil, err
	}
	_, err = a.run("repo", "create", "-distribution=bench", "-component=main", "bench")
	return a, err
}

// run runs a command of aptly's and says how long it took.
func (a *aptly) run(args ...string) (time.Duration, error) {
	r, _, err := run(exec.CommandContext(a.ctx, "aptly", append([]string{"-config=" + a.config}, args...)...))
	return r.Whole, err
}

// add takes debs into the repository, without publishing them.
func (a *aptly) add(dir string) error {
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err == nil && len(debs) == 0 {
		err = fmt.Errorf("no debs in %s", dir)
	}
	if err == nil {
		_, err = a.run("repo", "add", "bench", dir)
	}
	return err
}
