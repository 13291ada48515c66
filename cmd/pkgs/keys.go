package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sigs.k8s.io/pkgs/keys"
)

func newKeys(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, watch and rotate signing keys",
		Long: `The commands below keys make signing keys and the keyring that users are given, tell which key signs what until
when, and lead through a rotation. None of them changes a bucket: pkgs resign brings what they prepare to the streams.`,
		Example: `  pkgs keys generate --out key.asc --name "Example Packages" --email packages@example.org
  pkgs keys check`,
	}
	cmd.AddCommand(newKeysList(p), newKeysCheck(p), newKeysRotate(p), newKeysGenerate(p), newKeysCertify(p), newKeysExport(p), newKeysPackage(p))
	return group(cmd)
}

func newKeysGenerate(p *program) *cobra.Command {
	var out, name, email string
	cmd := &cobra.Command{
		Use:   "generate --out FILE --name NAME --email ADDRESS",
		Short: "Make a signing key",
		Long: `Generate makes an RSA key of 4096 bits without an expiry date, which every supported apt, dnf and zypper
accepts, and writes the private key to a new file that only its owner can read. With --passphrase-file or --passphrase-fd
the key is locked with that passphrase. Keep a copy where the bucket's administrators cannot reach it.`,
		Example: `  pkgs keys generate --out key.asc --name "Example Packages" --email packages@example.org`,
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if out == "" || name == "" || email == "" {
				return usagef("--out, --name and --email are needed: see pkgs keys generate --help")
			}
			// Publications are dated back by minutes, so that no client holds them to be in the future, and a key cannot
			// sign anything before it was made.
			key, err := keys.Generate(keys.GenerateConfig{Name: name, Email: email, Time: p.now().UTC().Add(-time.Hour)})
			if err != nil {
				return err
			}
			var passphrase []byte
			if p.passphrase != "" || p.passphraseFD >= 0 {
				if passphrase, err = p.readPassphrase(out, ""); err != nil {
					return err
				}
			}
			armored, err := key.Armor(passphrase)
			if err != nil {
				return err
			}
			if err := writeNew(out, armored, 0o600); err != nil {
				return err
			}
			return p.showKeys(key.Public())
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`file` for the private key; it must not exist")
	cmd.Flags().StringVar(&name, "name", "", "whose key it is, such as \"Example Packages\"")
	cmd.Flags().StringVar(&email, "email", "", "`address` of its owner")
	return cmd
}

// writeNew writes a key to a file that must not exist yet.
func writeNew(file string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if os.IsExist(err) {
		return usagef("%s exists, and a key is never overwritten: name another file", file)
	}
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(file)
	}
	return err
}

func newKeysExport(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "export [FINGERPRINT]",
		Short: "Print the public keys that users are given",
		Long: `Export prints the public half of the configuration's signing keys and the further keys of its keyring, armored,
as they are published in Release.key and repomd.xml.key, or only the one with a fingerprint. With --output json it prints what
is known of each.`,
		Example: `  pkgs keys export > example-archive-keyring.asc`,
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, given []string) error {
			cfg, err := readConfig(p.configFile)
			if err != nil {
				return err
			}
			signing, err := p.openSigning(cfg)
			if err != nil {
				return err
			}
			ring := signing.keyring
			if len(given) == 1 {
				if ring = ring.Only(given[0]); len(ring.Keys()) == 0 {
					return usagef("there is no key %s in the configuration: pkgs keys list shows those that there are", given[0])
				}
			}
			if p.output == "json" {
				return p.showKeys(ring)
			}
			armored, err := ring.Armor()
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(armored)
			return err
		},
	}
}

// showKeys prints what a person or a machine needs to know of public keys.
func (p *program) showKeys(keyring *keys.Keyring) error {
	if p.output == "json" {
		return p.printJSON(keyring.Keys())
	}
	for _, k := range keyring.Keys() {
		fmt.Fprintf(p.stdout, "%s  %s%d, made %s, %s\n    %s\n", k.Fingerprint, k.Algorithm, k.Bits, k.Created.Format("2006-01-02"), ends(k), k.UserID)
	}
	return nil
}

// ends says when a key ends.
func ends(k keys.Info) string {
	switch {
	case k.Revoked:
		return "is revoked"
	case k.Expires.IsZero():
		return "never expires"
	}
	return "expires " + k.Expires.Format(time.DateOnly)
}
