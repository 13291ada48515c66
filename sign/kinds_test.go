package sign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sigs.k8s.io/pkgs/keys"
	"sigs.k8s.io/pkgs/keys/store"
	"sigs.k8s.io/pkgs/keys/store/kmstest"
)

// form makes a signature in one of the forms that repositories have, and gives gpgv the files to check it with.
type form struct {
	name string
	sign func(ctx context.Context, s *Signer, data []byte, at time.Time) ([]byte, error)
	// detached tells whether the signed data is in a file of its own.
	detached bool
}

var allForms = []form{
	{"clearsigned", func(ctx context.Context, s *Signer, data []byte, at time.Time) ([]byte, error) {
		return s.clearsign(ctx, data, at)
	}, false},
	{"detached", func(ctx context.Context, s *Signer, data []byte, at time.Time) ([]byte, error) {
		return s.detached(ctx, s.keys, data, at)
	}, true},
	{"header", func(ctx context.Context, s *Signer, data []byte, at time.Time) ([]byte, error) {
		return s.header(ctx, data, at)
	}, true},
}

// checkMany makes count signatures of a form, at different times over different texts, each twice, and has gpgv check them.
func checkMany(t *testing.T, s *Signer, f form, count int) {
	t.Helper()
	if _, err := exec.LookPath("gpgv"); err != nil {
		t.Fatal("gpgv is not installed: install the Debian package gpgv")
	}
	dir := t.TempDir()
	_, keyring := keyFiles(t, dir, s)
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(runtime.NumCPU())
	for i := range count {
		group.Go(func() error {
			data, when := fmt.Appendf(nil, "%s%d\n", text, i), at.Add(time.Duration(i)*time.Second)
			made, err := f.sign(ctx, s, data, when)
			if err != nil {
				return err
			}
			if again, err := f.sign(ctx, s, data, when); err != nil || !bytes.Equal(again, made) {
				return fmt.Errorf("signature %d: made again it is another: %w", i, err)
			}
			name := filepath.Join(dir, strconv.Itoa(i))
			args := []string{"--keyring", keyring, name + ".asc"}
			if f.detached {
				args = append(args, name)
			}
			if err := errors.Join(os.WriteFile(name+".asc", made, 0o600), os.WriteFile(name, data, 0o600)); err != nil {
				return err
			}
			if out, err := exec.CommandContext(ctx, "gpgv", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("signature %d: gpgv: %w\n%s\n%s", i, err, out, made)
			}
			return errors.Join(os.Remove(name), os.Remove(name+".asc"))
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestThousand: a thousand signatures of each form are good for gpgv, whatever their bytes are. gpgv 2.2 misreads some armor
// without a checksum, most often with keys of 3072 bits.
func TestThousand(t *testing.T) {
	old, err := keys.ReadPrivate("expiring", read(t, "../keys/testdata/expiring-private.asc"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range allForms[:2] {
		t.Run(f.name, func(t *testing.T) { checkMany(t, s, f, 1000) })
	}
	// Bare packets have no armor to misread, and gpgv reads any number of them from one file.
	var packets []byte
	for i := range 1000 {
		when := at.Add(time.Duration(i) * time.Second)
		made, err := s.header(t.Context(), []byte(text), when)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := s.header(t.Context(), []byte(text), when); err != nil || !bytes.Equal(again, made) {
			t.Fatalf("signature %d: made again it is another: %v", i, err)
		}
		packets = append(packets, made...)
	}
	dir := t.TempDir()
	_, keyring := keyFiles(t, dir, s)
	log, ok := run(t, "gpgv", "gpgv", "--keyring", keyring, write(t, dir, "packets", packets), write(t, dir, "data", []byte(text)))
	if n := strings.Count(log, "Good signature"); !ok || n != 1000 {
		t.Errorf("gpgv finds %d of 1000 packets good: %.2000s", n, log)
	}
}

// TestKinds makes signatures of each form with a key of each kind, and of 4096 bits. Those of a token are in TestPKCS11.
func TestKinds(t *testing.T) {
	ring := signer(t, "one").Keyring()
	kms := kmstest.New(t, "../keys/testdata/one-private.asc")
	locked, err := store.FromPrivate("locked", func() ([]byte, error) { return read(t, "../keys/testdata/one-locked-private.asc"), nil }, nil,
		func() ([]byte, error) { return []byte("throwaway"), nil })
	if err != nil {
		t.Fatal(err)
	}
	home := gpgHome(t, "one")
	argv := []string{"gpg", "--homedir", home, "--batch", "--quiet", "--faked-system-time", "{time}!", "--digest-algo", "{hash}", "--detach-sign", "{textmode}"}
	for name, k := range map[string]Key{
		"memory":  key(t, "one"),
		"file":    locked,
		"kms":     store.FromKMS(store.KMSConfig{Name: kmstest.Name, Endpoint: kms.URL}, ring),
		"command": store.FromCommand(store.CommandConfig{Argv: argv, Now: time.Now}, ring),
	} {
		checkKind(t, name, k)
	}
}

// checkKind makes some signatures of each form with a key, and some with two keys where two may sign.
func checkKind(t *testing.T, name string, k Key) {
	t.Helper()
	s, err := New(k)
	if err != nil {
		t.Fatal(err)
	}
	both, err := New(k, key(t, "two"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range allForms {
		t.Run(name+"/"+f.name, func(t *testing.T) { checkMany(t, s, f, 15) })
		t.Run(name+"/both/"+f.name, func(t *testing.T) { checkMany(t, both, f, 3) })
	}
}

// gpgHome is a home of gpg with a throwaway key, whose path must be short. The agent that gpg starts in it ends with the test.
func gpgHome(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run(t, "gnupg", "gpgconf", "--homedir", dir, "--kill", "all")
		os.RemoveAll(dir)
	})
	if log, ok := run(t, "gnupg", "gpg", "--homedir", dir, "--batch", "--quiet", "--import", "../keys/testdata/"+name+"-private.asc"); !ok {
		t.Fatal(log)
	}
	return dir
}
