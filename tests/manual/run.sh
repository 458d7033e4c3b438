#!/usr/bin/env bash
# Crawls real manuals that nobody here wrote (Debian's python3-doc and linux-doc) from a real web
# server (nginx) on loopback, and checks: the crawl ends by itself, every page comes once and is asked
# for once, the books balance. Installs what is missing (needs root for that). Everything else goes to
# a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/../.."

manuals() { ls -d /usr/share/doc/python3.*-doc/html /usr/share/doc/linux-doc-*/html 2>/dev/null; }
if ! command -v nginx >/dev/null || [ "$(manuals | wc -l)" -lt 2 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light python3-doc linux-doc >/dev/null
fi

work=$(mktemp -d)
chmod 755 "$work"
mkdir "$work/root"
for manual in $(manuals); do
  name=$(basename "$(dirname "$manual")")
  ln -s "$manual" "$work/root/$name"
  echo "<a href=\"$name/index.html\">$name</a>" >> "$work/root/index.html"
done
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 256; }
http {
  include /etc/nginx/mime.types;
  access_log $work/access.log;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server { listen 127.0.0.1:$port; root $work/root; }
}
CONF
nginx -c "$work/nginx.conf" -p "$work" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 50); do curl -fs -o /dev/null "http://127.0.0.1:$port/index.html" && break; sleep 0.1; done

cargo build --quiet --release --package opilio-cli
time target/release/opilio crawl "http://127.0.0.1:$port/index.html" \
  --follow same-host --rate 1000000/s --in-flight 16 --allow-private \
  --output "$work/pages.jsonl" --report "$work/report.json"

python3 - "$work/pages.jsonl" "$work/report.json" "$work/access.log" <<'PY'
import collections, json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
report = json.load(open(sys.argv[2]))
asked = collections.Counter(line.split('"')[1].split()[1] for line in open(sys.argv[3]))
twice = [url for url, n in collections.Counter(line["url"] for line in lines).items() if n > 1]
again = [path for path, n in asked.items() if n > 1 and path != "/index.html"]
failures, filtered = sum(report["reasons"].values()), sum(report["filtered"].values())
print({key: report[key] for key in ("discovered", "admitted", "pages", "aliases", "left", "requests", "retries", "reasons", "filtered", "stopped")})
assert not twice, twice[:5]
assert not again, again[:5]
assert report["stopped"] == "finished" and report["left"] == 0
assert report["discovered"] == filtered + report["admitted"]
assert report["admitted"] == report["pages"] + report["aliases"] + failures
assert report["pages"] + report["aliases"] == len(lines)
print(f"{report['pages']} pages, each once; the books balance")
PY
