#!/bin/sh
set -e

case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
	# The first time enable does what the system's presets say; later it adds what a new version of the unit asks for.
	for unit in @units@; do
		if deb-systemd-helper --quiet was-enabled "$unit"; then
			deb-systemd-helper enable "$unit" >/dev/null || true
		else
			deb-systemd-helper update-state "$unit" >/dev/null || true
		fi
	done
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
		for unit in @restart@; do
			[ -z "$2" ] || deb-systemd-invoke try-restart "$unit" >/dev/null || true
		done
	fi
	;;
esac
