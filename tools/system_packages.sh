#!/bin/sh
# The tests compare with ffmpeg's own output, drive a real browser and start a real PostgreSQL. Bring them on Debian
# as root, else ask.
missing=""
command -v ffmpeg >/dev/null 2>&1 || missing="$missing ffmpeg"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing system packages:$missing"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null && exit 0
fi
echo "make test needs these system packages:$missing" >&2
echo "On Debian or Ubuntu run: sudo apt-get update && sudo apt-get install -y$missing" >&2
exit 1
