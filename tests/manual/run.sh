#!/usr/bin/env bash
# Crawls real manuals that nobody here wrote (Debian's python3-doc and linux-doc) from a real web
# server (nginx) on loopback, and has wget walk the same site by its links: both must find exactly the
# same pages, each once; the books must balance. What differs is listed with its reason, and a difference
# without a known reason fails (compare.py). Installs what is missing (needs root for that). Everything
# else goes to a temporary folder.
#
#   OPILIO=path/to/opilio tests/manual/run.sh    # with a binary that is there already
set -euo pipefail
cd "$(dirname "$0")/../.."

manuals() { ls -d /usr/share/doc/python3.*-doc/html /usr/share/doc/linux-doc-*/html 2>/dev/null || true; }
if ! command -v nginx >/dev/null || ! command -v wget >/dev/null || [ "$(manuals | wc -l)" -lt 2 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light wget python3-doc linux-doc >/dev/null
fi
if [ -z "${OPILIO:-}" ]; then
  cargo build --quiet --release --package opilio-cli
  OPILIO=target/release/opilio
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
  log_format walk '\$status \$http_user_agent|\$sent_http_content_type|\$request_uri';
  access_log $work/access.log walk;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server { listen 127.0.0.1:$port; root $work/root; }
}
CONF
nginx -c "$work/nginx.conf" -p "$work" &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$work"' EXIT
start="http://127.0.0.1:$port/index.html"
for _ in $(seq 50); do curl -fs -A probe -o /dev/null "$start" && break; sleep 0.1; done

echo "opilio crawls"
time "$OPILIO" crawl "$start" --follow same-host --rate 1000000/s --in-flight 16 --allow-private \
  --user-agent "Opilio/walk (+https://a.example/)" --output "$work/pages.jsonl" --report "$work/report.json"

echo "wget walks"
# The tags that lead a reader to another page, or show one inside of this. It exits with 8 when the site
# has dead links, which compare.py looks at.
time wget --recursive --level=inf --follow-tags=a,area,frame,iframe,meta --user-agent=Wget/walk \
  --no-verbose --output-file="$work/wget.log" --directory-prefix="$work/wget" "$start" || [ $? -eq 8 ]

python3 tests/manual/compare.py "$work/pages.jsonl" "$work/report.json" "$work/access.log" "$work/root"
