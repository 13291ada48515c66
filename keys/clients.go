package keys

import "time"

// Client is a program that judges our signatures, in a version that users have. Its name has the version in it.
type Client string

// The clients that keys and signatures are judged by: those of Debian 11, 12 and 13, in which rpm and dnf have the versions
// of the distributions of rpms of those years.
const (
	Apt22    Client = "apt 2.2"
	Apt26    Client = "apt 2.6"
	Apt30    Client = "apt 3.0"
	Gpgv22   Client = "gpgv 2.2"
	Sqv13    Client = "sqv 1.3"
	Rpm416   Client = "rpm 4.16"
	Rpm418   Client = "rpm 4.18"
	Rpm420   Client = "rpm 4.20"
	Dnf45    Client = "dnf 4.5"
	Dnf414   Client = "dnf 4.14"
	Dnf423   Client = "dnf 4.23"
	Zypper14 Client = "zypper 1.14"
)

// Clients lists all clients, in the order in which tables have them.
func Clients() []Client {
	return []Client{Apt22, Apt26, Apt30, Gpgv22, Sqv13, Rpm416, Rpm418, Rpm420, Dnf45, Dnf414, Dnf423, Zypper14}
}

// Problem is a kind of thing about a key or a signature that some client refuses.
type Problem string

const (
	// Expired is a key whose time is over; SignedExpired a signature that was made with it since.
	Expired       Problem = "expired"
	SignedExpired Problem = "signed-when-expired"
	NotYetValid   Problem = "not-yet-valid"
	Revoked       Problem = "revoked"
	// SHA1Binding is a key that is held together by SHA-1, WeakHash a signature over data with less than SHA-256.
	SHA1Binding Problem = "sha1-binding"
	WeakHash    Problem = "weak-hash"
	Version3    Problem = "version-3-signature"
	// WeakRSA is an RSA key of less than 2048 bits, ShortRSA one of less than 3072.
	WeakRSA  Problem = "weak-rsa"
	ShortRSA Problem = "short-rsa"
	// NISTCurve, NewEd25519 and DSA are kinds of keys that only some clients know, UntriedKind one that was tried with none.
	NISTCurve   Problem = "nist-curve"
	NewEd25519  Problem = "rfc9580-ed25519"
	DSA         Problem = "dsa"
	UntriedKind Problem = "untried-kind"
	// SubkeySigns is a key whose signatures are made by a subkey.
	SubkeySigns Problem = "signing-subkey"
	// CriticalExpiry and CriticalEmbedded are subpackets of a key that are marked critical: its expiry, and the signature
	// of a signing subkey.
	CriticalExpiry   Problem = "critical-key-expiration"
	CriticalEmbedded Problem = "critical-embedded-signature"
	// KeyChecksum and SignatureChecksum are armor without its CRC.
	KeyChecksum       Problem = "key-without-checksum"
	SignatureChecksum Problem = "signature-without-checksum"
)

// Problems lists all problems.
func Problems() []Problem {
	return []Problem{Expired, SignedExpired, NotYetValid, Revoked, SHA1Binding, WeakHash, Version3, WeakRSA, ShortRSA, NISTCurve, NewEd25519,
		DSA, UntriedKind, SubkeySigns, CriticalExpiry, CriticalEmbedded, KeyChecksum, SignatureChecksum}
}

// refusal is clients that refuse something from a day on; zero is since ever.
type refusal struct {
	since   time.Time
	clients []Client
}

// refusals says which clients refuse what has a problem, once it has begun. The table in keys/README.md is made by asking
// them, and the test that makes it compares their answers with this.
func (p Problem) refusals() []refusal {
	always := func(clients ...Client) []refusal { return []refusal{{clients: clients}} }
	// From a day of apt 3.0's policy on (/usr/share/apt/default-sequoia.config), by which its sqv judges.
	from := func(day time.Time) refusal { return refusal{day, []Client{Apt30, Sqv13}} }
	switch p {
	case Expired:
		return always(Apt22, Apt26, Dnf45, Dnf414, Dnf423)
	case SignedExpired:
		return always(Apt22, Apt26, Apt30, Sqv13, Rpm420, Dnf45, Dnf414, Dnf423)
	case NotYetValid:
		return always(Apt30, Gpgv22, Sqv13, Rpm420, Dnf45, Dnf414, Dnf423, Zypper14)
	case Revoked:
		return always(Apt22, Apt26, Apt30, Sqv13, Rpm420, Dnf45, Dnf414, Dnf423, Zypper14)
	case SHA1Binding:
		return append(always(Rpm420, Dnf423), from(date(2026, time.February, 1)))
	case WeakHash:
		return always(Apt22, Apt26, Apt30, Sqv13, Rpm420, Dnf423)
	case Version3:
		return []refusal{from(date(2026, time.February, 1))}
	case WeakRSA:
		return always(Apt30, Sqv13, Rpm420, Dnf423)
	case ShortRSA:
		return []refusal{from(date(2030, time.February, 1))}
	case DSA:
		return []refusal{from(date(2024, time.February, 1))}
	case NISTCurve:
		return always(Rpm416, Rpm418, Dnf45, Dnf414, Zypper14)
	case NewEd25519:
		return always(Apt22, Apt26, Gpgv22, Rpm416, Rpm418, Dnf45, Dnf414, Dnf423, Zypper14)
	case SubkeySigns:
		return always(Dnf45)
	case CriticalExpiry, CriticalEmbedded:
		return always(Rpm418, Dnf414, Zypper14)
	case KeyChecksum:
		return always(Rpm416, Rpm418, Dnf45, Dnf414, Zypper14)
	case SignatureChecksum:
		return always(Gpgv22, Dnf45, Dnf414, Dnf423, Zypper14)
	}
	return always()
}

func date(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
