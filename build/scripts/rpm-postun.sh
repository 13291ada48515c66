if [ -d /run/systemd/system ]; then
	systemctl daemon-reload >/dev/null 2>&1 || :
{{- range .}}{{if eq .OnUpgrade "try-restart"}}
	if [ "$1" -ge 1 ]; then
		systemctl try-restart {{.Name}} >/dev/null 2>&1 || :
	fi
{{- end}}{{end}}
fi
