//! Writes pages like those of a shop, with navigation, a product, cards and notes. A page has about 20 kB, 330
//! elements and 33 links.

use std::fmt::Write;

use super::{CHILD_HOSTS, CHILDREN, SitePlan, path, url};

/// Writes the pages of a site.
pub(crate) struct Pages {
    plan: SitePlan,
    port: u16,
    /// Complete HTML elements. Randomly chosen ones are added to a page until the page has its size.
    notes: Vec<String>,
}

/// Returns the value of the field `sku` of a page.
pub(crate) fn sku(host: usize, page: usize) -> String {
    format!("K{host}-{page}")
}

impl Pages {
    /// Creates a writer for the pages of a site that listens on this port.
    pub(crate) fn new(plan: SitePlan, port: u16) -> Self {
        let random = &mut fastrand::Rng::with_seed(12);
        let notes = (0..NOTES).map(|_| note(random)).collect();
        Self { plan, port, notes }
    }

    /// Returns the HTML of one page, which is the same at every call.
    pub(crate) fn write(&self, host: usize, page: usize) -> String {
        let random = &mut fastrand::Rng::with_seed((host as u64) << 32 | page as u64);
        let mut links = self.links(host, page, random).into_iter();
        let mut out = String::with_capacity(self.plan.bytes + 1_024);
        let title = format!("{} {page}", words(random, 3));
        self.head(&mut out, &title, (host, page));
        out.push_str("<header class=\"top\"><nav aria-label=\"Sections\"><ul class=\"menu\">\n");
        for href in links.by_ref().take(self.plan.links / 4) {
            let name = words(random, 3);
            let _ = writeln!(
                out,
                "<li class=\"menu-item\"><a class=\"menu-link\" href=\"{href}\"><span>{name}</span></a></li>"
            );
        }
        out.push_str(SEARCH);
        product(&mut out, &title, (host, page), random);
        for _ in 0..3 {
            let text = words(random, 24);
            let _ = write!(out, "<p>{text}");
            for href in links.by_ref().take(self.plan.links / 15) {
                let _ = write!(out, " <a rel=\"noopener\" href=\"{href}\">{}</a>", word(random));
            }
            let (stressed, rest) = (words(random, 3), words(random, 16));
            let _ = writeln!(out, " <em>{stressed}</em> {rest}.</p>");
        }
        out.push_str("</section>\n</article>\n<section class=\"more\"><h2>More &amp; alike</h2>\n");
        let mut card_links = links.len().saturating_sub(FOOT_LINKS);
        let mut n = 0;
        while card_links > 0 {
            n += 1;
            let taken = if n % 3 == 0 { 2.min(card_links) } else { 1 };
            card(&mut out, links.by_ref().take(taken), random);
            card_links -= taken;
        }
        out.push_str("</section>\n<section class=\"notes\" id=\"notes\"><h2>Notes</h2>\n");
        while out.len() + FOOT_BYTES < self.plan.bytes {
            out.push_str(&self.notes[random.usize(..NOTES)]);
        }
        out.push_str("</section>\n</main>\n<footer><ul>\n");
        for href in links {
            let _ = writeln!(out, "<li><a href=\"{href}\">{}</a></li>", word(random));
        }
        out.push_str(FOOT);
        out
    }

    /// Returns the links of a page: first its children in the trees of pages and hosts, then randomly chosen pages.
    fn links(&self, host: usize, page: usize, random: &mut fastrand::Rng) -> Vec<String> {
        let SitePlan { hosts, pages, links, .. } = self.plan;
        let mut targets: Vec<(usize, usize)> = (1..=CHILDREN).map(|n| (host, page * CHILDREN + n)).collect();
        if page == 0 {
            targets.extend((1..=CHILD_HOSTS).map(|n| (host * CHILD_HOSTS + n, 0)));
        }
        targets.retain(|(host, page)| *host < hosts && *page < pages);
        targets.push((host, 0));
        while targets.len() < links {
            let target = match random.u8(..24) {
                0..3 => targets[random.usize(..targets.len())],
                3..16 => (host, random.usize(..pages)),
                _ => (random.usize(..hosts), random.usize(..pages)),
            };
            targets.push(target);
        }
        random.shuffle(&mut targets);
        targets.into_iter().map(|target| self.href((host, page), target, random)).collect()
    }

    /// Returns the URL of another page, written in one of the ways in which real pages write links (absolute or
    /// relative, for example).
    fn href(&self, from: (usize, usize), to: (usize, usize), random: &mut fastrand::Rng) -> String {
        let absolute = url(self.port, to.0, to.1);
        let mut href = match random.u8(..10) {
            0..2 => absolute,
            2 => absolute.trim_start_matches("http:").to_owned(),
            _ if from.0 != to.0 => absolute,
            3..6 if from.1 > 0 && to.1 > 0 => format!("..{}", path(to.1)),
            _ => path(to.1),
        };
        if random.u8(..10) == 0 {
            href.push_str("#notes");
        }
        href
    }

    fn head(&self, out: &mut String, title: &str, (host, page): (usize, usize)) {
        let (address, sku) = (url(self.port, host, page), sku(host, page));
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title} — House {host}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"description\" content=\"{title}: number {page} of house {host}\">\n\
             <meta property=\"og:title\" content=\"{title}\">\n<meta property=\"og:type\" content=\"product\">\n\
             <link rel=\"canonical\" href=\"{address}\">\n<link rel=\"stylesheet\" href=\"/style.css\">\n{STYLE}\
             <script type=\"application/ld+json\">{{\"@type\":\"Product\",\"name\":\"{title}\",\"sku\":\"{sku}\"}}</script>\n\
             </head>\n<body class=\"shop product-page\" data-page=\"{page}\">\n"
        );
    }
}

fn product(out: &mut String, title: &str, (host, page): (usize, usize), random: &mut fastrand::Rng) {
    let (sku, price) = (sku(host, page), random.u32(100..90_000));
    let _ = write!(
        out,
        "<main id=\"main\">\n<article class=\"product\">\n<h1 itemprop=\"name\">{title}</h1>\n\
         <div class=\"product-info\"><span class=\"sku\" itemprop=\"sku\">{sku}</span> \
         <span class=\"price\">{}.{:02}</span> <span class=\"unit\">&euro;</span>\
         <button type=\"button\" class=\"buy\" data-sku=\"{sku}\">Buy</button></div>\n<table class=\"facts\"><tbody>\n",
        price / 100,
        price % 100
    );
    for name in ["Width", "Height", "Depth", "Weight", "Made of", "Colour"] {
        let (value, number) = (word(random), random.u8(..));
        let _ = writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{value} &middot; {number}</td></tr>");
    }
    out.push_str("</tbody></table>\n<section class=\"about\">\n");
}

fn card(out: &mut String, mut links: impl Iterator<Item = String>, random: &mut fastrand::Rng) {
    let (name, text) = (words(random, 3), words(random, 9));
    let (image, price) = (random.u8(..), random.u32(1..900));
    let _ = write!(
        out,
        "<div class=\"card\" data-n=\"{image}\"><img class=\"thumb\" src=\"/images/{image}.jpg\" alt=\"{name}\" \
         loading=\"lazy\" width=\"240\" height=\"160\"><div class=\"card-body\">"
    );
    if let Some(href) = links.next() {
        let _ = write!(out, "<h3><a href=\"{href}\">{name}</a></h3>");
    }
    if let Some(href) = links.next() {
        let _ = write!(out, "<a class=\"thumb-link\" href=\"{href}\" aria-label=\"{name}\"></a>");
    }
    let (first, second) = (word(random), word(random));
    let _ = writeln!(
        out,
        "<p class=\"card-text\">{text}</p><span class=\"price\">{price}.00</span>\
         <ul class=\"tags\"><li>{first}</li><li>{second}</li></ul></div></div>"
    );
}

fn note(random: &mut fastrand::Rng) -> String {
    let (author, day) = (words(random, 2), random.u16(1..365));
    let (long, short) = (random.usize(18..42), random.usize(8..26));
    let (first, stressed, last) = (words(random, long), words(random, 2), words(random, short));
    format!(
        "<div class=\"note\" data-day=\"{day}\"><div class=\"note-head\"><span class=\"author\">{author}</span> \
         <span class=\"stars\">★★★★☆</span> <time datetime=\"2026-01-01\">day {day}</time></div>\
         <p>{first} <strong>{stressed}</strong> {last}.</p></div>\n"
    )
}

fn words(random: &mut fastrand::Rng, n: usize) -> String {
    let mut out = String::with_capacity(n * 7);
    for i in 0..n {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(word(random));
    }
    out
}

fn word(random: &mut fastrand::Rng) -> &'static str {
    WORDS[random.usize(..WORDS.len())]
}

const NOTES: usize = 64;
const FOOT_LINKS: usize = 3;
const FOOT_BYTES: usize = 900;

const WORDS: &[&str] = &[
    "table", "bench", "mirror", "basket", "blanket", "pillow", "candle", "teapot", "bottle", "carpet",
    "bright", "narrow", "simple", "robust", "gentle", "golden", "silent", "useful", "oval", "folding", "in",
    "on", "the", "a", "of", "by", "to", "and", "or", "for", "with", "is", "has", "was", "as", "birch",
    "copper", "marble", "velvet", "bamboo", "granite", "über", "señor", "crêpe", "gâteau", "order", "return",
    "season", "parcel", "repair", "travel", "summer", "morning", "evening",
];

const STYLE: &str = "<style>\n:root{--ink:#111;--paper:#fafafa}\nbody{font:1rem/1.5 serif;color:var(--ink);background:var(--paper);margin:0}\n\
.card{border:1px solid #ccc;padding:1rem;display:grid;gap:.4rem}\n.price{font-weight:bold}\n.menu{display:flex;gap:1rem;list-style:none}\n\
@media (max-width:40em){.menu{display:block}.card{padding:.5rem}.facts th{display:none}}\n</style>\n\
<script>window.queue=window.queue||[];function note(){queue.push(arguments)}note('start',Date.now());\
if(1<2&&\"<a href='/nowhere'>\".length>3){document.documentElement.className+=' scripted'}</script>\n";

const SEARCH: &str = "</ul></nav>\n<form class=\"search\" action=\"/find\" method=\"get\"><label for=\"find\">Find</label>\
<input id=\"find\" name=\"q\" type=\"search\" placeholder=\"A &amp; B\"><button type=\"submit\">Find</button></form>\n</header>\n";

const FOOT: &str = "</ul><p><a href=\"mailto:house@example.org\">Write</a> <a href=\"javascript:void(0)\">Up</a> \
<a href=\"#main\">Main</a></p><p>&copy; House</p></footer>\n<script>document.querySelectorAll('.buy').forEach(function(b){\
b.addEventListener('click',function(e){note('buy',{sku:e.target.dataset.sku})})});</script>\n</body>\n</html>\n";
