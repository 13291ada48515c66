#!/bin/sh
set -e

# Packages that used systemctl in their scripts left no record of whether the unit was enabled. Without a record
# deb-systemd-helper would take the upgrade for the first installation and enable the unit again, so that one is made
# of what the administrator has decided.
if [ "$1" = upgrade ]; then
	for unit in @units@; do
		deb-systemd-helper debian-installed "$unit" || deb-systemd-helper update-state "$unit" || true
	done
fi
