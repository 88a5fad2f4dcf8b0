#!/bin/sh
# Installs the Debian packages that the lab and its tests need. Run as root.
# Services are not started on this machine: the lab starts them in its own hosts.
set -e
here=$(dirname "$(readlink -f "$0")")
if [ ! -e /usr/sbin/policy-rc.d ]; then
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
fi
# shellcheck disable=SC2046 # one word per package is wanted
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(cat "$here/packages.txt")
