//! The table of robots.txt cases for the tests. Sources: RFC 9309, the documentation and tests of Google's
//! parser, and decisions of this project where both are silent. Existing crates were measured against this
//! table.

/// One robots.txt, one crawler, and paths that the crawler may or may not fetch.
pub(crate) struct RobotsCase {
    /// The source of the rule (`rfc` with its section, `google` or `ours`), and the rule itself.
    pub(crate) name: &'static str,
    /// The content of the robots.txt.
    pub(crate) file: &'static [u8],
    /// The `User-Agent` header of the crawler.
    pub(crate) user_agent: &'static str,
    /// Paths (with query) and whether they are allowed.
    pub(crate) paths: &'static [(&'static str, bool)],
}

const fn case(
    name: &'static str,
    file: &'static [u8],
    user_agent: &'static str,
    paths: &'static [(&'static str, bool)],
) -> RobotsCase {
    RobotsCase { name, file, user_agent, paths }
}

/// All cases, by section of the RFC.
#[rustfmt::skip]
pub(crate) const CASES: &[RobotsCase] = &[
    // RFC 9309 §2.2.1: groups and product tokens.
    case("rfc 2.2.1: an empty file allows all", b"", "FooBot", &[("/", true), ("/x", true)]),
    case("rfc 2.2.1: no group for us allows all", b"User-agent: BarBot\nDisallow: /\n", "FooBot", &[("/x", true)]),
    case("rfc 2.2.1: the own group replaces the star", b"User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n", "FooBot", &[("/x/page", true), ("/y/page", false)]),
    case("rfc 2.2.1: the star is the fallback", b"User-agent: FooBot\nDisallow: /y/\n\nUser-agent: *\nDisallow: /x/\n", "BarBot", &[("/x/page", false), ("/y/page", true)]),
    case("rfc 2.2.1: several star groups are one", b"User-agent: *\nDisallow: /a\n\nUser-agent: FooBot\nDisallow: /z\n\nUser-agent: *\nDisallow: /b\n", "BarBot", &[("/a", false), ("/b", false), ("/z", true)]),
    case("rfc 2.2.1: groups of one token are one", b"user-agent: ExampleBot\ndisallow: /foo\ndisallow: /bar\n\nuser-agent: ExampleBot\ndisallow: /baz\n", "ExampleBot", &[("/foo", false), ("/bar", false), ("/baz", false), ("/qux", true)]),
    case("rfc 2.2.1: tokens ignore case", b"User-Agent: fOObOT\nDisallow: /\n", "FooBot", &[("/x", false)]),
    case("rfc 2.2.1: the token of a full user agent", b"User-agent: opilio\nDisallow: /x\n", "Opilio/0.1 (+https://opilio.example/bot)", &[("/x", false), ("/y", true)]),
    case("rfc 2.2.1: a token is not a prefix", b"User-agent: Foo\nDisallow: /\n", "FooBot/1.0", &[("/x", true)]),
    case("rfc 2.2.1: a longer token is another bot", b"User-agent: FooBot-News\nDisallow: /\n", "FooBot/1.0", &[("/x", true)]),
    case("rfc 2.2.1: hyphen and underscore are of the token", b"User-agent: foo-bot_x\nDisallow: /\n", "Foo-Bot_X/2", &[("/x", false)]),
    case("rfc 2.1: several agents share one group", b"User-agent: a\nUser-agent: FooBot\nUser-agent: c\nDisallow: /x\n", "FooBot", &[("/x", false), ("/y", true)]),
    case("rfc 2.1: rules outside groups are ignored", b"Disallow: /foo\n\nUser-agent: FooBot\nDisallow: /bar\n", "FooBot", &[("/foo", true), ("/bar", false)]),
    case("rfc 2.1: an own group without rules allows all", b"User-agent: *\nDisallow: /\n\nUser-agent: FooBot\n", "FooBot", &[("/x", true)]),
    case("rfc 2.1: a blank line does not end a group", b"User-agent: FooBot\n\n\nDisallow: /x\n\nDisallow: /y\n", "FooBot", &[("/x", false), ("/y", false)]),
    case("rfc 2.2.4: a sitemap line does not end a group", b"User-agent: BarBot\nSitemap: https://foo.bar/sitemap\nUser-agent: *\nDisallow: /\n", "BarBot", &[("/x", false)]),
    case("rfc 2.2.4: an unknown line does not end a group", b"User-agent: FooBot\nInvalid-Unknown-Line: unknown\nUser-agent: *\nDisallow: /\n", "FooBot", &[("/x", false)]),
    case("rfc 2.2.4: a sitemap line between rules is no rule", b"User-agent: FooBot\nDisallow: /x\nSitemap: https://foo.bar/s.xml\nDisallow: /y\n", "FooBot", &[("/x", false), ("/y", false)]),
    // RFC 9309 §2.2.2: the longest match.
    case("rfc 2.2.2: empty disallow allows all", b"User-agent: *\nDisallow:\n", "FooBot", &[("/x", true)]),
    case("rfc 2.2.2: paths keep their case", b"user-agent: FooBot\ndisallow: /X/\n", "FooBot", &[("/x/y", true), ("/X/y", false)]),
    case("rfc 2.2.2: the longest match wins", b"user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/\n", "FooBot", &[("/x/page.html", false), ("/x/other", true)]),
    case("rfc 2.2.2: order does not matter", b"user-agent: FooBot\nallow: /x/page.html\ndisallow: /x/\n", "FooBot", &[("/x/page.html", true), ("/x/", false)]),
    case("rfc 2.2.2: allow wins a tie", b"user-agent: FooBot\ndisallow: /x\nallow: /x\n", "FooBot", &[("/x", true), ("/x/y", true)]),
    case("rfc 2.2.2: empty rules match nothing", b"user-agent: FooBot\ndisallow: \nallow: \n", "FooBot", &[("/x", true)]),
    case("rfc 2.2.2: stars count in the length", b"user-agent: FooBot\nallow: /page\ndisallow: /*.html\n", "FooBot", &[("/page.html", false), ("/page", true)]),
    case("rfc 2.2.2: /robots.txt is always allowed", b"user-agent: *\ndisallow: /\n", "FooBot", &[("/robots.txt", true), ("/robots.txt.bak", false)]),
    // RFC 9309 §2.2.2: percent-encoding (the table of the RFC).
    case("rfc 2.2.2: the query is matched verbatim", b"User-agent: FooBot\nDisallow: /\nAllow: /foo/bar?baz=quz\n", "FooBot", &[("/foo/bar?baz=quz", true), ("/foo/bar?baz=qux", false)]),
    case("rfc 2.2.2: reserved in the query, rule raw", b"User-agent: FooBot\nDisallow: /\nAllow: /foo/bar?baz=https://foo.bar\n", "FooBot", &[("/foo/bar?baz=https%3A%2F%2Ffoo.bar", true)]),
    case("rfc 2.2.2: reserved in the query, rule encoded", b"User-agent: FooBot\nDisallow: /\nAllow: /foo/bar?baz=https%3A%2F%2Ffoo.bar\n", "FooBot", &[("/foo/bar?baz=https://foo.bar", true)]),
    case("rfc 2.2.2: a raw UTF-8 rule, an encoded path", "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/ツ\n".as_bytes(), "FooBot", &[("/foo/bar/%E3%83%84", true)]),
    case("rfc 2.2.2: a raw UTF-8 path is encoded", "User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%E3%83%84\n".as_bytes(), "FooBot", &[("/foo/bar/ツ", true)]),
    case("rfc 2.2.2: hex digits ignore case", b"User-agent: FooBot\nDisallow: /foo/%e3%83%84\n", "FooBot", &[("/foo/%E3%83%84", false)]),
    case("rfc 2.2.2: unreserved is decoded in rules", b"User-agent: FooBot\nDisallow: /\nAllow: /foo/bar/%62%61%7A\n", "FooBot", &[("/foo/bar/baz", true)]),
    case("rfc 2.2.2: unreserved is decoded in paths", b"User-agent: FooBot\nDisallow: /foo/bar/baz\n", "FooBot", &[("/foo/bar/%62%61%7A", false)]),
    case("rfc 2.2.2: an encoded slash is not a slash", b"User-agent: FooBot\nDisallow: /a%2Fb\n", "FooBot", &[("/a%2fb", false), ("/a/b", true)]),
    case("ours: a raw space in a rule is %20", b"User-agent: FooBot\nDisallow: /a b\n", "FooBot", &[("/a%20b", false)]),
    case("ours: a bare percent sign is literal", b"User-agent: FooBot\nDisallow: /100%\n", "FooBot", &[("/100%", false), ("/100", true)]),
    // RFC 9309 §2.2.3: special characters.
    case("rfc 2.2.3: # starts a comment", b"User-agent: FooBot # us\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n", "FooBot", &[("/foo/bar", true), ("/foo/quz", false)]),
    case("rfc 2.2.3: $ ends the pattern", b"User-agent: FooBot\nDisallow: /foo/bar$\n", "FooBot", &[("/foo/bar", false), ("/foo/bar/", true), ("/foo/bar?x", true)]),
    case("rfc 2.2.3: $ inside is literal", b"User-agent: FooBot\nDisallow: /a$b\n", "FooBot", &[("/a$b", false), ("/a", true)]),
    case("rfc 2.2.3: * is any number of characters", b"User-agent: FooBot\nDisallow: /foo/*/qux\n", "FooBot", &[("/foo/bar/qux", false), ("/foo//qux", false), ("/foo/qux", true), ("/foo/a/b/qux/c", false)]),
    case("rfc 2.2.3: %2A matches a star", b"User-agent: FooBot\nDisallow: /\nAllow: /file-with-a-%2A.html\n", "FooBot", &[("/file-with-a-*.html", true), ("/file-with-a-%2a.html", true), ("/file-with-a-b.html", false)]),
    case("rfc 2.2.3: %24 matches a dollar sign", b"User-agent: FooBot\nDisallow: /foo-%24\n", "FooBot", &[("/foo-$", false), ("/foo-$x", false), ("/foo-", true)]),
    case("ours: a star before $ backtracks", b"User-agent: FooBot\nDisallow: /*.php$\n", "FooBot", &[("/a.php", false), ("/a.php.php", false), ("/a.php?x", true)]),
    case("ours: pieces do not overlap", b"User-agent: FooBot\nDisallow: /ab*ba$\n", "FooBot", &[("/aba", true), ("/abba", false)]),
    case("ours: a rule may start with a star", b"User-agent: FooBot\nDisallow: *.gif$\n", "FooBot", &[("/a/b.gif", false), ("/a.gifx", true)]),
    case("ours: many stars are one", b"User-agent: FooBot\nDisallow: /a***b\n", "FooBot", &[("/axb", false), ("/ab", false), ("/a", true)]),
    // RFC 9309 §5.1 and §5.2: the simple example and the longest match.
    case("rfc 5.1: example, foobot", RFC_EXAMPLE, "foobot/1.0", &[("/example/page.html", true), ("/example/allowed.gif", true), ("/other", false)]),
    case("rfc 5.1: example, barbot", RFC_EXAMPLE, "BarBot", &[("/example/page.html", false), ("/other", true)]),
    case("rfc 5.1: example, quxbot", RFC_EXAMPLE, "quxbot", &[("/anything", true)]),
    case("rfc 5.1: example, any other", RFC_EXAMPLE, "otherbot", &[("/x.gif", false), ("/example/", false), ("/publications/a", true), ("/example", true)]),
    case("rfc 5.2: the longest match", b"User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n", "foobot", &[("/example/page/disallow.gif", true), ("/example/page/disallowed.gif", false), ("/example/page/", true)]),
    // Line ends, byte order marks, white space.
    case("rfc 2.2: CRLF", b"User-agent: FooBot\r\nDisallow: /x\r\n\r\nUser-agent: *\r\nDisallow: /\r\n", "FooBot", &[("/x", false), ("/y", true)]),
    case("rfc 2.2: CR alone", b"User-agent: FooBot\rDisallow: /x\rAllow: /x/y\r", "FooBot", &[("/x", false), ("/x/y", true), ("/z", true)]),
    case("google: no final line end", b"User-agent: FooBot\nDisallow: /x", "FooBot", &[("/x", false)]),
    case("google: a byte order mark", b"\xEF\xBB\xBFUser-agent: FooBot\nDisallow: /x\n", "FooBot", &[("/x", false)]),
    case("google: a part of a byte order mark", b"\xEF\xBBUser-agent: FooBot\nDisallow: /x\n", "FooBot", &[("/x", false)]),
    case("google: a broken byte order mark spoils the line", b"\xEF\x11\xBFUser-agent: FooBot\nDisallow: /x\n", "FooBot", &[("/x", true)]),
    case("google: space around everything", b"  \t User-agent \t:  FooBot  \n \tDisallow\t : \t/x \t \n", "FooBot", &[("/x", false), ("/y", true)]),
    case("ours: bytes that are not UTF-8", b"User-agent: FooBot\nDisallow: /caf\xE9\nDisallow: /y\n", "FooBot", &[("/caf%E9", false), ("/y", false), ("/caf", true)]),
    // Errors that Google's parser tolerates.
    case("google: a missing colon", b"user-agent FooBot\ndisallow /\n", "FooBot", &[("/x/y", false)]),
    case("google: a missing colon needs two words", b"user-agent: FooBot\ndisallow /x y\n", "FooBot", &[("/x", true)]),
    case("google: unknown keys are ignored", b"foo: FooBot\nbar: /\n", "FooBot", &[("/x/y", true)]),
    case("google: keys ignore case", b"uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n", "FooBot", &[("/x/y", true), ("/a/b", false)]),
    case("google: useragent", b"useragent: FooBot\ndisallow: /\n", "FooBot", &[("/x", false)]),
    case("google: user agent", b"user agent: FooBot\ndisallow: /\n", "FooBot", &[("/x", false)]),
    case("google: dissallow", b"user-agent: FooBot\ndissallow: /\n", "FooBot", &[("/x", false)]),
    case("google: dissalow", b"user-agent: FooBot\ndissalow: /\n", "FooBot", &[("/x", false)]),
    case("google: disalow", b"user-agent: FooBot\ndisalow: /\n", "FooBot", &[("/x", false)]),
    case("google: diasllow", b"user-agent: FooBot\ndiasllow: /\n", "FooBot", &[("/x", false)]),
    case("google: disallaw", b"user-agent: FooBot\ndisallaw: /\n", "FooBot", &[("/x", false)]),
    case("google: an agent counts up to the first space", b"User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n", "Foo", &[("/x/y", true), ("/z", false)]),
    case("google: an agent counts up to its version", b"User-Agent: Foo/2.1\nDisallow: /x\n", "Foo", &[("/x", false)]),
    case("google: a star with words after it is a star", b"User-agent: * all bots\nDisallow: /x\n", "FooBot", &[("/x", false)]),
    case("google: an empty user-agent line is nobody", b"User-agent:\nDisallow: /\n", "FooBot", &[("/x", true)]),
    case("google: a rule without a leading slash matches nothing", b"User-agent: FooBot\nDisallow: x\n", "FooBot", &[("/x", true)]),
    case("google: fish", b"user-agent: FooBot\ndisallow: /\nallow: /fish\n", "FooBot", &[("/bar", false), ("/fish", true), ("/fish.html", true), ("/fish/salmon.html", true), ("/fishheads", true), ("/fish.html?id=anything", true), ("/Fish.asp", false), ("/catfish", false), ("/?id=fish", false)]),
    case("google: fish*", b"user-agent: FooBot\ndisallow: /\nallow: /fish*\n", "FooBot", &[("/bar", false), ("/fish", true), ("/fishheads/yummy.html", true), ("/Fish.bar", false), ("/catfish", false)]),
    case("google: fish/", b"user-agent: FooBot\ndisallow: /\nallow: /fish/\n", "FooBot", &[("/fish/", true), ("/fish/?salmon", true), ("/fish", false), ("/fish.html", false), ("/Fish/Salmon.html", false)]),
    case("google: *.php", b"user-agent: FooBot\ndisallow: /\nallow: /*.php\n", "FooBot", &[("/filename.php", true), ("/folder/filename.php?parameters", true), ("//folder/any.php.file.html", true), ("/index?f=filename.php/", true), ("/php/", false), ("/index?php", false), ("/windows.PHP", false)]),
    case("google: *.php$", b"user-agent: FooBot\ndisallow: /\nallow: /*.php$\n", "FooBot", &[("/filename.php", true), ("/filename.php?parameters", false), ("/filename.php/", false), ("/filename.php5", false), ("/aaaphpaaa", false)]),
    case("google: fish*.php", b"user-agent: FooBot\ndisallow: /\nallow: /fish*.php\n", "FooBot", &[("/fish.php", true), ("/fishheads/catfish.php?parameters", true), ("/Fish.PHP", false)]),
    case("google: allow /$", b"user-agent: FooBot\nallow: /$\ndisallow: /\n", "FooBot", &[("/", true), ("/page.html", false), ("/?x", false)]),
    // Decisions of this project.
    case("ours: no leave by index.html (a Google extension)", b"User-Agent: *\nAllow: /dir/index.html\nDisallow: /\n", "foobot", &[("/dir/index.html", true), ("/dir/", false)]),
    case("ours: a crawl delay does not end a group", b"User-agent: a\nCrawl-delay: 5\nUser-agent: FooBot\nDisallow: /x\n", "a", &[("/x", false)]),
    case("ours: the token behind Mozilla/5.0 (compatible;", b"User-agent: FooBot\nDisallow: /x\n", "Mozilla/5.0 (compatible; FooBot/2.1; +https://foo.bar)", &[("/x", false), ("/y", true)]),
    case("ours: digits are of the token", b"User-agent: 360Bot\nDisallow: /x\n\nUser-agent: *\nDisallow: /y\n", "360Bot/1.0", &[("/x", false), ("/y", true)]),
    case("ours: a page instead of a robots.txt", b"<!DOCTYPE html><html><body>User-agent: FooBot<br>Disallow: /</body></html>\n", "FooBot", &[("/x", true)]),
];

const RFC_EXAMPLE: &[u8] = b"User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\nUser-Agent: foobot\nDisallow:/\nAllow:/example/page.html\nAllow:/example/allowed.gif\n\nUser-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\nUser-Agent: quxbot\n\n";
