#!/usr/bin/env bash
# Makes sure the programs that the tests run are there. Root on a Debian machine gets the missing ones installed;
# anybody else is told what to install.
set -euo pipefail

declare -A package_of=([git]=git [ssh]=openssh-client [ssh-keygen]=openssh-client [gpg]=gnupg [strace]=strace [zsh]=zsh [fish]=fish)

missing=()
for tool in "${!package_of[@]}"; do
    command -v "$tool" >/dev/null || missing+=("${package_of[$tool]}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
else
    echo "the tests need programs that are not installed: apt-get install ${missing[*]}" >&2
    exit 1
fi
