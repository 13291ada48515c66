if [ "$1" -eq 0 ] && command -v systemctl >/dev/null 2>&1; then
	systemctl --no-reload disable @units@ >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then
		systemctl stop @units@ >/dev/null 2>&1 || :
	fi
fi
