package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// with is a contender that gets count packages more before each run: b.n + what it has had before.
func (b *bench) with(format, name, dir string, count int, run func(files []string) (sample, error)) *contender {
	next := b.n
	var files []string
	return &contender{name: name,
		before: func(int) error {
			files = files[:0]
			for range count {
				file, err := b.spare(format, next)
				if err != nil {
					return err
				}
				next++
				if dir != "" {
					if err := copyFile(file, dir); err != nil {
						return err
					}
				}
				files = append(files, file)
			}
			return nil
		},
		run: func(int) (sample, error) { return run(files) },
	}
}

// directory makes a directory of packages of its own for a contender.
func (b *bench) directory(format, name string) (string, error) {
	dir := b.path(name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := b.fill(b.path(format+"s"), format, 0, b.n); err != nil {
		return "", err
	}
	_, err := command(b.ctx, b.dir, nil, "cp", "-al", b.path(format+"s"), dir)
	if err == nil {
		err = clean(dir)
	}
	return dir, err
}

// updated is our own contender for count packages more.
func (b *bench) updated(format string, count int) (*contender, error) {
	dir, err := b.directory(format, fmt.Sprintf("more-%s-%d", format, count))
	if err != nil {
		return nil, err
	}
	if _, err := b.index(dir, "--update", "--sign"); err != nil {
		return nil, err
	}
	return b.with(format, "pkgs index --update --sign", dir, count, func([]string) (sample, error) {
		return b.index(dir, "--update", "--sign")
	}), nil
}

func (b *bench) oneDeb() error {
	ours, err := b.updated("deb", 1)
	if err != nil {
		return err
	}
	reprepro, err := b.reprepro()
	if err != nil {
		return err
	}
	aptly, err := b.aptly()
	if err != nil {
		return err
	}
	if err := race(b.runs, ours, reprepro, aptly); err != nil {
		return err
	}
	report(fmt.Sprintf("one more on %d debs, signed", b.n), ours, reprepro, aptly)
	return nil
}

func (b *bench) reprepro() (*contender, error) {
	dir := b.path("reprepro")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o755); err != nil {
		return nil, err
	}
	conf := "Codename: bench\nArchitectures: amd64\nComponents: main\nSignWith: yes\nDebIndices: Packages Release . .gz\n"
	if err := os.WriteFile(filepath.Join(dir, "conf/distributions"), []byte(conf), 0o644); err != nil {
		return nil, err
	}
	run := func(list string) (sample, error) {
		return shell(b.ctx, dir, b.gpgEnv(), "find "+list+" -name '*.deb' -print0 | xargs -0 -n 100000 reprepro --silent -b . includedeb bench")
	}
	if _, err := run(b.path("debs")); err != nil {
		return nil, err
	}
	return b.with("deb", "reprepro includedeb", "", 1, func(files []string) (sample, error) {
		return command(b.ctx, dir, b.gpgEnv(), "reprepro", "--silent", "-b", ".", "includedeb", "bench", files[0])
	}), nil
}

func (b *bench) aptly() (*contender, error) {
	dir := b.path("aptly")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`{"rootDir": %q, "architectures": ["amd64"], "gpgProvider": "gpg", "skipContentsPublishing": true}`, dir)
	file := filepath.Join(dir, "aptly.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, err
	}
	aptly := "aptly -config=" + file + " "
	setup := aptly + "repo create -distribution=bench -component=main bench && " + aptly + "repo add bench " + b.path("debs") + " && " +
		aptly + "publish repo -batch -skip-contents -skip-bz2 bench"
	if _, err := shell(b.ctx, dir, b.gpgEnv(), setup); err != nil {
		return nil, err
	}
	return b.with("deb", "aptly repo add, publish update", "", 1, func(files []string) (sample, error) {
		return shell(b.ctx, dir, b.gpgEnv(), aptly+"repo add bench "+files[0]+" && "+aptly+"publish update -batch -skip-contents -skip-bz2 bench")
	}), nil
}

func (b *bench) oneRpm() error {
	ours, err := b.updated("rpm", 1)
	if err != nil {
		return err
	}
	dir, err := b.directory("rpm", "more-rpm-theirs")
	if err != nil {
		return err
	}
	if _, err := command(b.ctx, dir, nil, "createrepo_c", "--quiet", "--no-database", "."); err != nil {
		return err
	}
	theirs := b.with("rpm", "createrepo_c --update --skip-stat --no-database, gpg", dir, 1, func([]string) (sample, error) {
		return shell(b.ctx, dir, b.gpgEnv(), "createrepo_c --quiet --no-database --update --skip-stat . && "+
			"gpg --batch --yes --detach-sign --armor repodata/repomd.xml")
	})
	if err := race(b.runs, ours, theirs); err != nil {
		return err
	}
	report(fmt.Sprintf("one more on %d rpms, signed", b.n), ours, theirs)
	return nil
}

// five compares five packages more with one more.
func (b *bench) five() error {
	for _, format := range []string{"deb", "rpm"} {
		one, err := b.updated(format, 1)
		if err != nil {
			return err
		}
		five, err := b.updated(format, 5)
		if err != nil {
			return err
		}
		one.name, five.name = "one more "+format, "five more"
		if err := race(b.runs, one, five); err != nil {
			return err
		}
		report("five more against one more", one, five)
	}
	return nil
}

// many compares ten times as many packages with what there is otherwise: in time, and in the memory that both take.
func (b *bench) many() error {
	for _, format := range []string{"deb", "rpm"} {
		few, many := b.path(format+"s"), b.path("many-"+format+"s")
		if err := b.fill(few, format, 0, b.n); err != nil {
			return err
		}
		if err := b.fill(many, format, 0, 10*b.n); err != nil {
			return err
		}
		var all []*contender
		for _, dir := range []string{few, many} {
			all = append(all, &contender{name: "pkgs index", before: func(int) error { return clean(dir) },
				run: func(int) (sample, error) { return b.index(dir) }})
		}
		if err := race(max(1, b.runs/2), all...); err != nil {
			return err
		}
		report(fmt.Sprintf("%d and %d %ss", b.n, 10*b.n, format), all...)
	}
	return nil
}
