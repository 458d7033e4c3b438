"""Compares what opilio found on a site with what wget found, by nginx's log of both.

A page is a request target that nginx answered with 200, whoever asked. Every difference must have one of
the known reasons, each of which is checked on the documents themselves: see `reason`.
"""

import collections
import json
import pathlib
import re
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

pages_file, report_file, access_log, root = sys.argv[1:]

asked = {"Opilio": collections.Counter(), "Wget": collections.Counter()}
kinds = {}
dead = {"Opilio": set(), "Wget": set()}
for line in open(access_log, encoding="utf-8", errors="surrogateescape"):
    agent_and_status, kind, target = line.rstrip("\n").split("|", 2)
    status, agent = agent_and_status.split(" ", 1)
    who = agent.split("/")[0]
    if who not in asked or target == "/robots.txt":
        continue
    # Two spellings of one path are one page.
    target = unquote(target)
    if status == "200":
        asked[who][target] += 1
        kinds[target] = kind
    elif status not in ("301", "302"):
        dead[who].add(target)

# 1. The crawl: ended by itself, each page once, asked for once, books balanced.
lines = [json.loads(line) for line in open(pages_file)]
report = json.load(open(report_file))
print({key: report[key] for key in ("discovered", "admitted", "pages", "aliases", "left", "requests", "retries", "reasons", "filtered", "stopped")})
failures, filtered = sum(report["reasons"].values()), sum(report["filtered"].values())
assert report["stopped"] == "finished" and report["left"] == 0
assert report["discovered"] == filtered + report["admitted"]
assert report["admitted"] == report["pages"] + report["sitemaps"] + report["aliases"] + failures
assert report["pages"] + report["aliases"] == len(lines)
twice = [url for url, n in collections.Counter(line["url"] for line in lines).items() if n > 1]
assert not twice, twice[:5]
again = [target for target, n in asked["Opilio"].items() if n > 1]
assert not again, again[:5]
written = {unquote(urlsplit(line["final_url"])._replace(scheme="", netloc="").geturl()) for line in lines}
assert written == set(asked["Opilio"]), sorted(written ^ set(asked["Opilio"]))[:5]


class Links(HTMLParser):
    """A third reader: which elements of a document lead where."""

    def __init__(self, base):
        super().__init__(convert_charrefs=True)
        self.base, self.found = base, []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        target = attributes.get("href") if tag in ("a", "area", "link") else attributes.get("src")
        if target:
            try:
                url = urlsplit(urljoin(self.base, target.strip()))
            except ValueError:
                return
            if url.netloc == "site":
                rel = (attributes.get("rel") or "").lower().split()
                self.found.append((tag, rel, unquote(url._replace(scheme="", netloc="", fragment="").geturl())))


TAGS = re.compile(r"<(?:a|area|link|frame|iframe)\s[^>]*>", re.IGNORECASE)
links_to = collections.defaultdict(list)


def read_documents():
    """Who links to what, from every HTML document that either of the two was given."""
    for target in set(asked["Opilio"]) | set(asked["Wget"]):
        if "html" not in kinds[target]:
            continue
        file = pathlib.Path(root + urlsplit(target).path)
        links = Links("http://site" + target)
        text = (file / "index.html" if file.is_dir() else file).read_text(encoding="utf-8", errors="replace")
        # Python's reader takes minutes for the whole of 190 MB, and seconds for the tags that matter.
        links.feed("".join(TAGS.findall(text)))
        for tag, rel, to in links.found:
            links_to[to].append((target, tag, rel))


def reason(who, target):
    """Why only `who` has asked for `target`; None, if there is no reason that we know."""
    via = links_to[target]
    if who == "Opilio":
        if via and all(tag == "link" and "next" in rel for _, tag, rel in via):
            return "named by link rel=next alone, which wget was not told to follow"
        if via and all(source not in asked["Wget"] for source, _, _ in via):
            return "linked only from pages of this list"
    else:
        if via and all("nofollow" in rel for _, _, rel in via):
            return "linked with rel=nofollow alone, which wget does not heed"
    return None


only = {"Opilio": set(asked["Opilio"]) - set(asked["Wget"]), "Wget": set(asked["Wget"]) - set(asked["Opilio"])}
if only["Opilio"] or only["Wget"] or dead["Opilio"] ^ dead["Wget"]:
    read_documents()
unexplained = 0
for who, targets in only.items():
    by_reason = collections.defaultdict(list)
    for target in sorted(targets):
        by_reason[reason(who, target)].append(target)
    for why, list_ in by_reason.items():
        print(f"only {who}: {len(list_)} pages: {why or 'UNEXPLAINED'}")
        for target in list_[:10]:
            print(f"  {target}  <- {links_to[target][:2]}")
        unexplained += 0 if why else len(list_)
for target in sorted(dead["Opilio"] ^ dead["Wget"]):
    print(f"a dead link that only one of the two followed: {target} <- {links_to[target][:2]}")

both = len(set(asked["Opilio"]) & set(asked["Wget"]))
print(f"{len(asked['Opilio'])} pages found by opilio, {len(asked['Wget'])} by wget, {both} by both; {len(dead['Opilio'])} dead links")
assert not unexplained, f"{unexplained} differences without a reason"
print("each page once; the books balance; every difference has its reason")
