package main

import (
	"os"
	"os/user"
	"strconv"
	"time"
)

// publisher is who publishes, for the record: what PKGS_PUBLISHER says, or else the user on this machine.
func (p *program) publisher() string {
	if by := p.getenv("PKGS_PUBLISHER"); by != "" {
		return by
	}
	name, host := p.getenv("USER"), "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// sourceDate reads SOURCE_DATE_EPOCH, seconds since 1970 (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDate(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<32-1 {
		return time.Time{}, usagef("SOURCE_DATE_EPOCH is %q: expected seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
