package build

import "fmt"

// FileName is where the package of a request lies below OutDir/deb or OutDir/rpm, in the words of pkgs.k8s.io:
// amd64/kubeadm_1.34.1-1.1_amd64.deb and x86_64/kubeadm-1.34.1-1.1.x86_64.rpm.
func (r Request) FileName(f Format) string {
	if f == Deb {
		return fmt.Sprintf("%s/%s_%s-%s_%s.deb", r.Architecture.Deb, r.Package, r.Version.Package(), r.DebRevision, r.Architecture.Deb)
	}
	return fmt.Sprintf("%s/%s-%s-%s.%s.rpm", r.Architecture.Rpm, r.Package, r.Version.Package(), r.RpmRelease, r.Architecture.Rpm)
}
