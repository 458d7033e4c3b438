#!/usr/bin/env bash
# Crawls 400 pages of a real nginx on loopback that limits its clients as many sites do (`limit_req`,
# 20r/s, `burst=5 nodelay`, a bare 503; robots.txt is outside of the limit), asked for 50/s with 8 in
# flight. Judged by nginx's access log: at most 3 requests are refused, at least 92 % of its rate is used,
# every page arrives. Installs nginx if it is missing (needs root for that). Everything else goes to a
# temporary folder.
#
#   OPILIO=path/to/opilio tests/manual/nginx-limit.sh    # with a binary that is there already
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v nginx >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light >/dev/null
fi
if [ -z "${OPILIO:-}" ]; then
  cargo build --quiet --release --package opilio-cli
  OPILIO=target/release/opilio
fi

pages=400
work=$(mktemp -d)
chmod 755 "$work"
mkdir -p "$work/root/page"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'User-agent: *\nDisallow: /admin/\n' > "$work/root/robots.txt"
for n in $(seq "$pages"); do
  echo "<title>Page $n</title><p>Nothing to see." > "$work/root/page/$n.html"
  echo "http://127.0.0.1:$port/page/$n.html" >> "$work/urls"
done
cat > "$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 256; }
http {
  include /etc/nginx/mime.types;
  log_format knock '\$msec \$status \$request_uri';
  access_log $work/access.log knock;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  limit_req_zone \$binary_remote_addr zone=one:1m rate=20r/s;
  server {
    listen 127.0.0.1:$port; root $work/root;
    location = /robots.txt { }
    location / { limit_req zone=one burst=5 nodelay; }
  }
}
CONF
nginx -c "$work/nginx.conf" -p "$work" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 50); do curl -fs -o /dev/null "http://127.0.0.1:$port/robots.txt" && break; sleep 0.1; done
: > "$work/access.log"

code=0
"$OPILIO" crawl --urls "$work/urls" --follow none --rate 50/s --in-flight 8 --allow-private --quiet \
  --user-agent "Opilio/limit (+https://a.example/)" --output "$work/pages.jsonl" \
  --report "$work/report.json" || code=$?

python3 - "$work" "$pages" "$code" <<'PY'
import sys

work, pages, code = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
knocks = [line.split(maxsplit=2) for line in open(f"{work}/access.log")]
asked = [(float(at), status) for at, status, path in knocks if path.strip() != "/robots.txt"]
served = [at for at, status in asked if status == "200"]
refused = sum(status == "503" for _, status in asked)
span = max(at for at, _ in asked) - min(at for at, _ in asked)
used = (len(served) - 1) / (20 * span)
arrived = sum(1 for _ in open(f"{work}/pages.jsonl"))
print(f"{len(asked)} requests in {span:.1f} s, {arrived} of {pages} pages, exit code {code}")
goals = [
    (f"refused {refused} (at most 3)", refused <= 3),
    (f"used {used:.1%} of 20r/s (at least 92 %)", used >= 0.92),
    (f"missing {pages - arrived} (none)", arrived == pages),
]
for text, holds in goals:
    print("ok  " if holds else "FAIL", text)
sys.exit(not all(holds for _, holds in goals))
PY
