"""Scrapy as a peer of `cargo xtask bench`: a spider that reads title and links, and with `--field` one more field.

The spider follows the same rules as Opilio's spider in the benchmark: it obeys robots.txt, follows links to every
host, has 32 requests in flight, and sets no delay. Where Scrapy offers several ways, this file takes the one that
cost the least CPU time: a selector and `urljoin` instead of `LinkExtractor`, the default reactor, no `Referer`.

    pip install scrapy==2.19.0
    python scrapy_links.py --seed URL --out FILE [--field]
"""
# /// script
# requires-python = ">=3.10"
# dependencies = ["scrapy==2.19.0"]
# ///

import argparse

import scrapy
from scrapy.crawler import CrawlerProcess

IN_FLIGHT = 32


class LinksSpider(scrapy.Spider):
    """Writes a row for each page, and follows all links of the page."""

    name = "links"

    async def start(self):
        # Scrapy's own `start` exempts seeds from the duplicate filter, so a link to the seed would fetch it again.
        for url in self.start_urls:
            yield scrapy.Request(url)

    def parse(self, response):
        yield self.row(response)
        hrefs = response.css("a::attr(href)").getall()
        # Scrapy drops known URLs by itself. Dropping the duplicates of one page here saves it some requests to check.
        for url in dict.fromkeys(map(response.urljoin, hrefs)):
            if url.startswith(("http:", "https:")):
                yield scrapy.Request(url)

    def row(self, response):
        return {"url": response.url, "title": response.css("title::text").get()}


class FieldSpider(LinksSpider):
    """Reads the field `sku` as well, with the selector of Opilio's spider."""

    name = "field"

    def row(self, response):
        sku = response.css(".product-info .sku::text, body > .sku::text").get()
        return super().row(response) | {"sku": sku or ""}


def settings(out):
    return {
        "ROBOTSTXT_OBEY": True,
        "CONCURRENT_REQUESTS": IN_FLIGHT,
        # Without this setting, Scrapy has 8 requests to one host in flight.
        "CONCURRENT_REQUESTS_PER_DOMAIN": IN_FLIGHT,
        "DOWNLOAD_DELAY": 0,
        "AUTOTHROTTLE_ENABLED": False,
        # The site sets no cookies, and Opilio sends no `Referer` and uses none of the system's proxies.
        "COOKIES_ENABLED": False,
        "REFERER_ENABLED": False,
        "HTTPPROXY_ENABLED": False,
        # Each of these two listens on a port, so that a running crawl can be inspected.
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "LOG_LEVEL": "WARNING",
        "FEEDS": {out: {"format": "jsonlines", "encoding": "utf8", "overwrite": True}},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", required=True, help="the URL at which the crawl starts")
    parser.add_argument("--out", required=True, help="the file for the rows, as JSON Lines")
    parser.add_argument("--field", action="store_true", help="reads the field sku as well")
    args = parser.parse_args()
    process = CrawlerProcess(settings(args.out))
    process.crawl(FieldSpider if args.field else LinksSpider, start_urls=[args.seed])
    process.start()


if __name__ == "__main__":
    main()
