package keys

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"sigs.k8s.io/pkgs/keys/frame"
)

// Finding is one thing about a key or a signature that some client refuses, now or at another time.
type Finding struct {
	Problem Problem `json:"problem"`
	// Fingerprint is that of the primary key or subkey that it is about, or a key ID where no more is known; empty when it
	// is about a file.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Since and Until are when clients refuse it: from Since on, and before Until. Zero is since ever, and for ever.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Clients are those that refuse it. None stands for one that no client was tried with.
	Clients []Client `json:"clients"`
	// Text says it to a person, and what to do.
	Text string `json:"text"`
}

// At tells whether clients refuse it at a time.
func (f Finding) At(t time.Time) bool {
	return !t.Before(f.Since) && (f.Until.IsZero() || t.Before(f.Until))
}

func (f Finding) String() string {
	text := f.Text
	if f.Fingerprint != "" {
		text = "key " + f.Fingerprint + " " + text
	}
	var names []string
	for _, c := range f.Clients {
		names = append(names, string(c))
	}
	if len(names) > 0 {
		text += " (refused by " + strings.Join(names, ", ") + ")"
	}
	return text
}

// findings makes the findings of a problem that begins at a time: one for each day from which clients refuse it.
func findings(p Problem, fingerprint string, since time.Time, format string, args ...any) []Finding {
	var found []Finding
	for _, r := range p.refusals() {
		f := Finding{Problem: p, Fingerprint: fingerprint, Since: since, Clients: r.clients, Text: fmt.Sprintf(format, args...)}
		if r.since.After(since) {
			f.Since = r.since
		}
		found = append(found, f)
	}
	return found
}

// CheckFile reads public keys as ParseKeyring does and says what clients refuse about them, and about the file: at any
// time, which [Finding.At] tells apart.
func CheckFile(name string, data []byte) (*Keyring, []Finding, error) {
	k, err := ParseKeyring(name, data)
	if err != nil {
		return nil, nil, err
	}
	var found []Finding
	if frame.IsArmored(data) {
		blocks, err := frame.DecodeAll(data)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if slices.ContainsFunc(blocks, func(b frame.Block) bool { return !b.Checksum }) {
			found = append(found, findings(KeyChecksum, "", time.Time{}, "%s has armor without its checksum: write it again with pkgs keys export", name)...)
		}
	}
	return k, append(found, k.Check()...), nil
}

// Check says what clients refuse about the keys, at any time: expiries and clients' own deadlines lie in the future for
// most of a key's life, and [Finding.At] tells whether their day has come. The findings are in the order of the keys.
func (k *Keyring) Check() []Finding {
	found := []Finding{}
	for _, c := range k.certs {
		found = append(found, c.findings()...)
	}
	return found
}

func (c *certificate) findings() []Finding {
	fp, ever := c.info.Fingerprint, time.Time{}
	var found []Finding
	add := func(more []Finding) { found = append(found, more...) }
	if c.info.Revoked {
		add(findings(Revoked, fp, ever, "is revoked: sign with another key"))
	}
	if c.self == nil {
		add(findings(SHA1Binding, fp, ever, "has no self-signature with SHA-256 or better: sign its user ID again"))
	}
	add(expired(fp, c.info.Expires))
	for _, f := range findings(NotYetValid, fp, ever, "was created on %s: clients whose clock is earlier refuse it", day(c.info.Created)) {
		f.Until = c.info.Created
		found = append(found, f)
	}
	add(kindOf(fp, c.entity.PrimaryKey))
	primary := c.checkSigning() == nil
	for _, s := range c.entity.Subkeys {
		if s.Sig == nil || !s.Sig.FlagsValid || !s.Sig.FlagSign {
			continue
		}
		sub := fingerprint(s.PublicKey)
		if !primary {
			add(findings(SubkeySigns, sub, ever, "is a subkey, and the primary key is not made for signing: use a key that signs itself"))
		}
		if e := s.Sig.EmbeddedSignature; !strong(s.Sig.Hash) || e != nil && !strong(e.Hash) {
			add(findings(SHA1Binding, sub, ever, "is a subkey that is bound with SHA-1: bind it again with SHA-256 or better"))
		}
		add(expired(sub, expiry(s.PublicKey, s.Sig)))
		add(kindOf(sub, s.PublicKey))
	}
	return append(found, c.criticals()...)
}

// expired is about a key that ends at a time, which is zero if it does not.
func expired(fingerprint string, at time.Time) []Finding {
	if at.IsZero() {
		return nil
	}
	return findings(Expired, fingerprint, at, "expires on %s: clients that imported it do not learn of a later date, so go over to a key without one before", day(at))
}

// kindOf says which clients do not know a kind of key, or hold it to be weak.
func kindOf(fp string, key *packet.PublicKey) []Finding {
	bits, err := key.BitLength()
	ever := time.Time{}
	switch name := algorithm(key.PubKeyAlgo); {
	case name == "RSA" && (err != nil || bits < minRSABits):
		return findings(WeakRSA, fp, ever, "is an RSA key of %d bits: make one of 4096", bits)
	case name == "RSA" && bits < leastBits:
		return findings(ShortRSA, fp, ever, "is an RSA key of %d bits: make one of 4096", bits)
	case name == "RSA" || name == "EdDSA":
		return nil // all clients that were tried know legacy Ed25519
	case name == "ECDSA":
		return findings(NISTCurve, fp, ever, "is an ECDSA key: make an RSA key of 4096 bits")
	case name == "Ed25519":
		return findings(NewEd25519, fp, ever, "is an Ed25519 key in the form of RFC 9580: make an RSA key of 4096 bits")
	case name == "DSA":
		return findings(DSA, fp, ever, "is a DSA key: make an RSA key of 4096 bits")
	default:
		return findings(UntriedKind, fp, ever, "is of a kind (%s) that no client was tried with: make an RSA key of 4096 bits", name)
	}
}

// criticals finds the subpackets of self-signatures that clients refuse when they are marked critical.
func (c *certificate) criticals() []Finding {
	seen := map[byte]bool{}
	for _, raw := range c.packets {
		packets, err := frame.Packets(raw)
		if err != nil || packets[0].Tag != frame.TagSignature {
			continue
		}
		s, err := parseSignature(packets[0].Body)
		if err != nil || s.issuer != 0 && s.issuer != c.entity.PrimaryKey.KeyId {
			continue // by somebody else
		}
		for _, kind := range s.critical {
			seen[kind] = true
		}
	}
	var found []Finding
	if seen[subKeyExpiration] {
		found = append(found, findings(CriticalExpiry, c.info.Fingerprint, time.Time{}, "has an expiry that is marked critical: make one without")...)
	}
	if seen[subEmbedded] {
		found = append(found, findings(CriticalEmbedded, c.info.Fingerprint, time.Time{},
			"has a signing subkey whose own signature is marked critical: use a key without subkeys")...)
	}
	return found
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Refused is which clients refuse something at a time by findings about it, in the order of Clients.
func Refused(findings []Finding, at time.Time) []Client {
	var all []Client
	for _, f := range findings {
		if f.At(at) {
			all = append(all, f.Clients...)
		}
	}
	slices.SortFunc(all, func(a, b Client) int {
		return cmp.Compare(slices.Index(Clients(), a), slices.Index(Clients(), b))
	})
	return slices.Compact(all)
}

// Concerning leaves only findings that have to do with signatures: about the keys that made them, about the signatures
// themselves and about files.
func Concerning(findings []Finding, signatures []Signature) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool {
		return f.Fingerprint != "" && !slices.ContainsFunc(signatures, func(s Signature) bool { return f.Fingerprint == s.Issuer || f.Fingerprint == s.Key })
	})
}
