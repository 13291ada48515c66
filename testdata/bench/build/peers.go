package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// bench is where everything lies, as absolute paths.
type bench struct {
	pkgs, nfpm   string
	inputs, work string
	runs         int
}

// config writes a configuration of pkgs and returns its path.
func (b *bench) config(name, compression string, architectures []string, packages string) (string, error) {
	file := filepath.Join(b.work, name+".yaml")
	source := func(name string) string { return filepath.Join(b.inputs, name) }
	text := fmt.Sprintf(`bucket: %s
url: http://127.0.0.1:8080
signing: {key: %s}
architectures: [%s]
revision: "1.1"
compression: %s
sources:
  kubernetes: {url: %s}
  cri-tools: {url: %s}
  cni-plugins: {url: %s}
streams:
  - name: core:/stable:/v1.35
    packages: {%s}
`, filepath.Join(b.work, name, "bucket"), filepath.Join(b.work, "key.asc"), strings.Join(architectures, ", "), compression,
		source("kubernetes"), source("cri-tools"), source("cni-plugins"), packages)
	return file, os.WriteFile(file, []byte(text), 0o644)
}

// build is pkgs making the packages of a version, unsigned as the peers' are.
func (b *bench) build(name, config, version string) job {
	dir := filepath.Join(b.work, name)
	return job{dir: dir, commands: [][]string{{b.pkgs, "build", version, "--config", config, "--unsigned",
		"--cache", filepath.Join(dir, "cache"), "--out", filepath.Join(dir, "out")}}}
}

// kubelet is the program that the peers make packages of.
func (b *bench) kubelet() string {
	return filepath.Join(b.inputs, "kubernetes", first, "bin/linux/amd64/kubelet")
}

// nfpmJob is nfpm making both packages of the kubelet, compressed with xz.
func (b *bench) nfpmJob() (job, error) {
	dir, config := filepath.Join(b.work, "nfpm"), filepath.Join(b.work, "nfpm.yaml")
	text := fmt.Sprintf(`name: kubelet
arch: amd64
version: 1.35.0
release: "1.1"
maintainer: Kubernetes Authors <dev@kubernetes.io>
description: Node agent for Kubernetes clusters
license: Apache-2.0
contents:
  - {src: %s, dst: /usr/bin/kubelet, file_info: {mode: 0755}}
deb: {compression: xz}
rpm: {compression: xz}
`, b.kubelet())
	j := job{dir: dir}
	for _, format := range []string{"deb", "rpm"} {
		j.commands = append(j.commands, []string{b.nfpm, "package", "--config", config, "--packager", format, "--target", dir + "/"})
	}
	return j, os.WriteFile(config, []byte(text), 0o644)
}

// nativeJob is dpkg-deb as it is when nothing is said, and rpmbuild with xz at level 7.
func (b *bench) nativeJob() (job, error) {
	tree, dir := filepath.Join(b.work, "tree"), filepath.Join(b.work, "native")
	spec := filepath.Join(b.work, "kubelet.spec")
	control := `Package: kubelet
Version: 1.35.0-1.1
Architecture: amd64
Maintainer: Kubernetes Authors <dev@kubernetes.io>
Description: Node agent for Kubernetes clusters
`
	for _, sub := range []string{"DEBIAN", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(tree, sub), 0o755); err != nil {
			return job{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644); err != nil {
		return job{}, err
	}
	program := filepath.Join(tree, "usr/bin/kubelet")
	os.Remove(program)
	if err := os.Link(b.kubelet(), program); err != nil {
		return job{}, err
	}
	text := fmt.Sprintf(`%%define _binary_payload w7.xzdio
%%define debug_package %%{nil}
%%define __os_install_post %%{nil}
%%define _build_id_links none
Name: kubelet
Version: 1.35.0
Release: 1.1
Summary: Node agent for Kubernetes clusters
License: Apache-2.0
AutoReqProv: no
%%description
%%install
mkdir -p %%{buildroot}/usr/bin
ln %s %%{buildroot}/usr/bin/kubelet
%%files
/usr/bin/kubelet
`, b.kubelet())
	if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
		return job{}, err
	}
	return job{dir: dir, commands: [][]string{
		{"dpkg-deb", "--root-owner-group", "--build", tree, filepath.Join(dir, "kubelet.deb")},
		{"rpmbuild", "-bb", "--target", "x86_64", "--define", "_topdir " + filepath.Join(b.work, "rpmbuild"), "--define", "_rpmdir " + dir, spec},
	}}, nil
}

// unpackJob reads everything that is in packages, and writes nothing.
func unpackJob(dir string, debs, rpms []string) job {
	j := job{dir: dir, keep: true}
	for _, deb := range debs {
		j.commands = append(j.commands, []string{"dpkg-deb", "--fsys-tarfile", deb})
	}
	for _, rpm := range rpms {
		j.commands = append(j.commands, []string{"rpm2cpio", rpm})
	}
	return j
}
