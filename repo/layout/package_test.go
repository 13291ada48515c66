package layout

import "testing"

func TestParsePackageName(t *testing.T) {
	for name, want := range map[string]PackageName{
		"deb/amd64/kubernetes-cni_1.9.1-1.1_amd64.deb":                      {"kubernetes-cni", "1.9.1", "1.1", "amd64", "deb"},
		"rpm/x86_64/kubernetes-cni-1.9.1-150500.1.1.x86_64.rpm":             {"kubernetes-cni", "1.9.1", "150500.1.1", "x86_64", "rpm"},
		"kubelet_1.36.0~alpha.0.721.f8ff8f44206ff4-2.1_s390x.deb":           {"kubelet", "1.36.0~alpha.0.721.f8ff8f44206ff4", "2.1", "s390x", "deb"},
		"core:/stable:/v1.35/rpm/aarch64/kubectl-1.35.0~rc.1-1.aarch64.rpm": {"kubectl", "1.35.0~rc.1", "1", "aarch64", "rpm"},
		"Packages": {Name: "Packages"},
	} {
		if got := ParsePackageName(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
