#!/bin/sh
set -e

case "$1" in
configure | abort-upgrade | abort-deconfigure | abort-remove)
	# The first time enable does what the system's presets say; later it adds what a new version of the unit asks for.
{{- range .}}
	if deb-systemd-helper --quiet was-enabled {{.Name}}; then
		deb-systemd-helper enable {{.Name}} >/dev/null || true
	else
		deb-systemd-helper update-state {{.Name}} >/dev/null || true
	fi
{{- end}}
	if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload >/dev/null || true
{{- range .}}{{if eq .OnUpgrade "try-restart"}}
		if [ -n "$2" ]; then
			deb-systemd-invoke try-restart {{.Name}} >/dev/null || true
		fi
{{- end}}{{end}}
	fi
	;;
esac
