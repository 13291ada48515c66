package repo

import (
	"errors"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
)

// TestResigned offers a version again after its rpms are signed by another key: what is published stays, and everything else
// that differs is refused as ever.
func TestResigned(t *testing.T) {
	b := bucket.NewMemory()
	mustAdd(t, signedBy(t, b, []string{"one"}, "two"), packages(t, "1.35.0", "one"))
	p := signedBy(t, b, []string{"two"}, "one")
	again := builtWith(t, p.Signer, "1.35.0", "1.1", "one")
	before := read(t, b, streamName.Rpm(again.Rpms[0].Href))
	l := watch(b)
	if plan := mustAdd(t, p, again); !plan.Empty() {
		t.Errorf("the same packages signed by another key plan %d writes", len(plan.Writes))
	}
	if got := l.counts(); got["open"] != 5 || len(got) != 1 { // HEAD, the manifest, the last pointer, and two headers
		t.Errorf("it took %v", got)
	}
	if read(t, b, streamName.Rpm(again.Rpms[0].Href)) != before {
		t.Error("a published rpm has changed")
	}

	// Beside a package that is new.
	both := builtWith(t, p.Signer, "1.35.1", "1.1", "two")
	if err := both.join(again); err != nil {
		t.Fatal(err)
	}
	if plan := mustAdd(t, p, both); len(plan.Added) != 4 {
		t.Errorf("a new version comes with %d packages", len(plan.Added))
	}
	if read(t, b, streamName.Rpm(again.Rpms[0].Href)) != before {
		t.Error("a published rpm has changed")
	}

	// Another payload of the same size, another header: of the rpms alone, since those debs would be refused, too.
	var changed *ChangedError
	for what, files := range map[string]*Files{
		"another payload": builtWith(t, p.Signer, "1.35.0", "1.1", "eno"),
		"another header":  builtWith(t, p.Signer, "1.35.0", "1.1", "one", "libc6"),
	} {
		debs := map[string]bool{}
		for name := range files.digests() {
			if strings.HasPrefix(name, "deb/") {
				debs[name] = true
			}
		}
		if _, err := add(t, p, files.without(debs)); !errors.As(err, &changed) || !strings.HasPrefix(changed.Name, "rpm/") {
			t.Errorf("%s: %v", what, err)
		}
	}
	debs, rpms := builtWith(t, p.Signer, "1.35.0", "1.1", "one", "libc6"), again
	debs.Rpms, debs.paths["rpm/"+rpms.Rpms[0].Href] = rpms.Rpms[:1], rpms.paths["rpm/"+rpms.Rpms[0].Href]
	if _, err := add(t, p, debs); !errors.As(err, &changed) || changed.Name != "deb/"+debs.Debs[0].Filename {
		t.Errorf("another deb: %v", err)
	}

	// What is published cannot be read any more.
	name := streamName.Rpm(again.Rpms[0].Href)
	info, err := b.Stat(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), name, info.Generation); err != nil {
		t.Fatal(err)
	}
	if _, err := add(t, p, again); !errors.As(err, &changed) {
		t.Errorf("a package that is lost: %v", err)
	}
}
