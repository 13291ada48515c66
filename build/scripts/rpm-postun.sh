if [ -d /run/systemd/system ]; then
	systemctl daemon-reload >/dev/null 2>&1 || :
	for unit in @restart@; do
		[ "$1" -lt 1 ] || systemctl try-restart "$unit" >/dev/null 2>&1 || :
	done
fi
