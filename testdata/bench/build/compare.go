package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

const (
	kubeletOnly = "kubelet: cut"
	// everything has two packages that change with the version that is cut, and three that do not.
	everything = "kubeadm: cut, kubelet: cut, kubectl: " + first + ", cri-tools: " + crictl + ", kubernetes-cni: " + cni
)

// compare runs two jobs in pairs and prints them.
func (b *bench) compare(ctx context.Context, nameA string, a job, nameB string, other job) error {
	as, bs, err := pairs(ctx, b.runs, a, other)
	if err != nil {
		return err
	}
	row(nameA, as)
	row(nameB, bs)
	ratios(as, bs)
	return nil
}

func (b *bench) againstNFPM(ctx context.Context) error {
	theirs, err := b.nfpmJob()
	if err != nil {
		return err
	}
	config, err := b.config("ours", "go", []string{"amd64"}, kubeletOnly)
	if err != nil {
		return err
	}
	return b.compare(ctx, "nfpm, xz: kubelet, deb and rpm", theirs, "pkgs: the same", b.build("ours", config, first))
}

func (b *bench) againstNative(ctx context.Context) error {
	theirs, err := b.nativeJob()
	if err != nil {
		return err
	}
	config, err := b.config("ours-xz", "xz-6", []string{"amd64"}, kubeletOnly)
	if err != nil {
		return err
	}
	return b.compare(ctx, "dpkg-deb, and rpmbuild with w7.xzdio: the same", theirs, "pkgs, `compression: xz-6`", b.build("ours-xz", config, first))
}

// unpacking reads the packages that the comparisons before have left.
func (b *bench) unpacking(ctx context.Context) error {
	find := func(pattern string) ([]string, error) {
		found, err := filepath.Glob(filepath.Join(b.work, pattern))
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("%s: %d packages, expected one: compare with nfpm and native first", pattern, len(found))
		}
		return found, err
	}
	theirDeb, err := find("native/*.deb")
	if err != nil {
		return err
	}
	ourDeb, err := find("ours/out/deb/*/*.deb")
	if err != nil {
		return err
	}
	ourRpm, err := find("ours/out/rpm/*/*.rpm")
	if err != nil {
		return err
	}
	dir := filepath.Join(b.work, "unpack")
	theirs := unpackJob(dir, theirDeb, nil)
	if err := b.compare(ctx, "dpkg unpacks its own", theirs, "dpkg unpacks that of pkgs", unpackJob(dir, ourDeb, nil)); err != nil {
		return err
	}
	return b.compare(ctx, "dpkg unpacks its own", theirs, "rpm unpacks that of pkgs", unpackJob(dir, nil, ourRpm))
}

// cut is a whole cut into a bucket, published and read back, after what setup does.
func (b *bench) cut(name, config, version string) job {
	return job{dir: filepath.Join(b.work, name), env: []string{"XDG_CACHE_HOME=" + filepath.Join(b.work, name, "cache")},
		commands: [][]string{{b.pkgs, "cut", version, "--config", config, "--confirm"}}}
}

func (b *bench) key(ctx context.Context) error {
	file := filepath.Join(b.work, "key.asc")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return exec.CommandContext(ctx, b.pkgs, "keys", "generate", "--out", file, "--name", "pkgs throwaway", "--email", "pkgs@example.org").Run()
}

// cores compares a whole cut on one processor with the same on all.
func (b *bench) cores(ctx context.Context) error {
	if err := b.key(ctx); err != nil {
		return err
	}
	config, err := b.config("cut", "go", architectures, everything)
	if err != nil {
		return err
	}
	all := b.cut("cut", config, first)
	one := all
	one.commands = [][]string{append([]string{"taskset", "--cpu-list", "0"}, all.commands[0]...)}
	return b.compare(ctx, "a whole cut, on one processor", one, fmt.Sprintf("a whole cut, on %d", runtime.NumCPU()), all)
}

// again compares a whole cut with the next one, in which two of five inputs are others.
func (b *bench) again(ctx context.Context) error {
	if err := b.key(ctx); err != nil {
		return err
	}
	config, err := b.config("cut", "go", architectures, everything)
	if err != nil {
		return err
	}
	next := b.cut("cut", config, second)
	next.keep = true
	return b.compare(ctx, "a whole cut, the first", b.cut("cut", config, first), "the next, with 2 of 5 programs changed", next)
}
