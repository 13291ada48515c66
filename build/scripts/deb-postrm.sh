#!/bin/sh
set -e

# What has been removed does not stay enabled; when it comes back, the presets decide again, as they do with an rpm.
case "$1" in
remove | purge)
	if command -v deb-systemd-helper >/dev/null; then
		deb-systemd-helper purge @units@ >/dev/null || true
	fi
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
	fi
	;;
esac
