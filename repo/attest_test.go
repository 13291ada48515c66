package repo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/pkgs/repo/bucket"
	"sigs.k8s.io/pkgs/repo/layout"
)

// attested gives every package of files an SBOM and a provenance statement, which name a run.
func attested(t testing.TB, files *Files, run string) (*Files, map[string]string) {
	t.Helper()
	bytes := map[string]string{}
	for name, sum := range files.digests() {
		for _, suffix := range layout.Attestations() {
			text := fmt.Sprintf(`{"packages": [{"checksums": [{"algorithm": "SHA1", "checksumValue": "x"}, {"algorithm": "SHA256", "checksumValue": %q}]}], "run": %q}`, sum, run)
			if strings.Contains(suffix, "intoto") {
				text = fmt.Sprintf(`{"subject": [{"name": "x", "digest": {"sha256": %q}}], "run": %q}`, sum, run)
			}
			bytes[name+suffix] = text
			files.attestations[name+suffix] = Object{Name: name + suffix, Class: layout.Attestation, Size: int64(len(text)), SHA256: digest([]byte(text))}
			files.paths[name+suffix] = writeFile(t, text)
		}
	}
	return files, bytes
}

// TestAdopt publishes packages whose attestations were left by a run that died, with other bytes.
func TestAdopt(t *testing.T) {
	b, p, _ := timed(t)
	first, left := attested(t, packages(t, "1.35.0", "one"), "first")
	b.Fault = func(op, name string) bucket.Fault {
		if op == "put" && strings.Contains(name, "/manifests/") {
			return bucket.NotApplied
		}
		return bucket.OK
	}
	if _, err := add(t, p, first); err == nil {
		t.Fatal("the run did not die")
	}
	b.Fault = nil
	second, _ := attested(t, packages(t, "1.35.0", "one"), "second")
	_, err := add(t, p, second)
	var taken *TakenError
	if !errors.As(err, &taken) || len(taken.Names) != len(left) {
		t.Fatalf("error %v", err)
	}
	plan, err := p.Plan(t.Context(), testStream(), Change{Add: second, Adopt: taken.Names})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Execute(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	sound(t, b, streamName, now)
	state, err := ReadState(t.Context(), b, streamName)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range left {
		o, ok := state.Manifest.object(string(streamName) + "/" + name)
		if !ok || o.SHA256 != digest([]byte(text)) || read(t, b, o.Name) != text || o.Since != 1 {
			t.Errorf("%s is %+v", name, o)
		}
	}
	if found, err := Inspect(t.Context(), b, state); err != nil || len(found.Damage) > 0 {
		t.Errorf("%v %v", found, err)
	}

	// What is about another file is not adopted, and what is gone by then is not missed.
	other := publisher(t, bucket.NewMemory())
	if _, err := other.Bucket.Put(t.Context(), taken.Names[0], text([]byte(`{"subject": [{"digest": {"sha256": "0"}}]}`)), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var gate *GateError
	if _, err := other.Plan(t.Context(), testStream(), Change{Add: second, Adopt: taken.Names[:1]}); !errors.As(err, &gate) || !strings.Contains(err.Error(), "is not about this package") {
		t.Errorf("attestations of other files: error %v", err)
	}
	if _, err := other.Plan(t.Context(), testStream(), Change{Add: second, Adopt: taken.Names[1:]}); err != nil {
		t.Error(err)
	}
}

// TestPromoteAttestations promotes to a bucket where a run left attestations of its own.
func TestPromoteAttestations(t *testing.T) {
	from, to := staging(t)
	staged, _ := attested(t, packages(t, "1.35.0", "one"), "staged")
	mustAdd(t, from, staged)
	name := string(streamName) + "/deb/amd64/kubectl_1.35.0-1.1_amd64.deb.spdx.json"
	if _, err := to.Bucket.Put(t.Context(), name, text([]byte("{}")), bucket.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var taken *ImmutableError
	if _, err := promote(t, from, to); !errors.As(err, &taken) || !taken.Orphan || taken.Name != name {
		t.Errorf("error %v", err)
	}
	info, err := to.Bucket.Stat(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.Bucket.Delete(t.Context(), name, info.Generation); err != nil {
		t.Fatal(err)
	}
	mustPromote(t, from, to)
	for name := range staged.attestations {
		if object := string(streamName) + "/" + name; read(t, from.Bucket, object) != read(t, to.Bucket, object) {
			t.Errorf("%s differs", name)
		}
	}
}

func FuzzDescribes(f *testing.F) {
	sum := strings.Repeat("0a", 32)
	f.Add([]byte(`{"subject": [{"digest": {"sha256": "`+sum+`"}}]}`), sum)
	f.Add([]byte(`{"packages": [{"checksums": [{"algorithm": "SHA256", "checksumValue": "`+sum+`"}]}]}`), sum)
	f.Add([]byte(`{"subject": 7}`), "")
	f.Fuzz(func(t *testing.T, data []byte, sum string) {
		if describes(data, sum) && len(sum) == 64 && !strings.Contains(string(data), sum) && !strings.Contains(string(data), `\u`) {
			t.Errorf("%q is said to describe %s", data, sum)
		}
	})
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.WriteString(file, text); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}
