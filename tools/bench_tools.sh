#!/usr/bin/env bash
# The peer that pip cannot bring: OpenSSH's server. It is installed only as root in a container that starts no services by itself:
# a measurement must not leave an open door behind. Anybody else is told, and the benches leave out its rows.
set -uo pipefail

PATH="$PATH:/usr/sbin:/sbin"
command -v sshd >/dev/null && exit 0

starts_nothing() { [ -x /usr/sbin/policy-rc.d ] && ! /usr/sbin/policy-rc.d ssh start >/dev/null 2>&1; }

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && starts_nothing; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends openssh-server
fi
command -v sshd >/dev/null || echo "the benches go without OpenSSH's server: apt-get install openssh-server" >&2
exit 0
