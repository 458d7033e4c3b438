//! Tests with valid and invalid selectors: the check in the macro and the parser at run time agree on each of them.

use opilio_extract_grammar::check_selector;
use scraper::Selector;

/// Selectors that are valid.
const GOOD: &str = r#"
a
*
h1
my-element
.a
#a
.a.b
a.b#c
a#c.b
a b
a > b
a + b
a ~ b
a>b
a+b~c
a , b
a,b,c
a b > c + d ~ e
[href]
a[href]
a[href=x]
a[href="x"]
a[href='x']
a[href^="/"]
a[href$=".pdf"]
a[href*="x y"]
a[rel~="next"]
a[lang|="en"]
a[href="x" i]
a[href="x" s]
a[ href = "x" ]
a[data-x][data-y]
[data-x="]"]
[data-x='(']
*|a
|a
*|*
a[*|href]
a[|href]
:root
:empty
:scope
:scope > a
:first-child
:last-child
:only-child
:first-of-type
:last-of-type
:only-of-type
:nth-child(1)
:nth-child(odd)
:nth-child(even)
:nth-child(2n+1)
:nth-child( 2n + 1 )
:nth-child(-n+3)
:nth-child(n)
:nth-last-child(2)
:nth-of-type(3)
:nth-last-of-type(2n)
li:not(.a)
li:not(.a, .b)
li:not(:first-child)
li:not([a])
:is(a, b)
:where(a, b) c
:is()
:is(a, b:nonsense)
:has(a)
li:has(> a)
li:has(+ li)
li:has(~ li, a)
p:has(a[href]):not(.x)
tr > td:nth-child(2)
table tr:nth-child(n+2) td
dl dt + dd
h2 ~ p
div.product-card
.price--now
._x
.\31 a
.a\:b
dc\:creator
#\#
é
.日本
a /* x */ b
/* x */ a
[a="\"]"]
[a='\'']
a:not(b):not(c)
:not(:has(a))
ul.menu > li:not(.ad) a[href]
input[type=checkbox]
option[selected]
meta[property="og:title"]
script[type="application/ld+json"]
script#__NEXT_DATA__
a:nth-child(+3)
LI
A.B
a[href] , b
:NOT(a)
:Nth-Child(2N+1)
"#;

/// Selectors that are not valid.
const BAD: &str = r#"
,
a,
,a
a,,b
>
a >
> a
+ a
~ a
a > > b
a + + b
a > , b
.
#
a.
a#
a..b
a.#b
.1a
#1a
..a
[]
a[
a[]
a[href
a[href=
a[href=]
a[href="x]
a[href='x
a[href=x y]
a[=x]
a[href=1]
a[href="x" q]
a[href!="x"]
a[href="x"
a]
a)
a(
a{
a}
a{b}
(a)
a(b)
<a>
a < b
a & b
a % b
a!
a?
a@b
@media
$a
a;b
a=b
"a"
'a
1a
1
:
::
a:
a::
a:hover
a:focus
a:visited
a:active
a:link(x)
input:checked
input:disabled
a:nonsense
a:nonsense(x)
a::before
a::after
p::first-line
li::marker
a::nonsense
:nth-child
:nth-child()
:nth-child(x)
:nth-child(2n+)
:nth-child(2 n)
:not
:not()
:not(
li:not(.a
li:not(,)
li:not(.a,)
:has
:has()
:has(
:is(
:has(a > )
li:has(:nonsense)
svg|a
svg|*
h1::text
a::attr(href)
p:contains("x")
p:contains(x)
li:first
li:last
li:eq(2)
tr:odd
tr:even
li:gt(2)
a:visible
p:has-text(x)
div::html
[xlink|href]
a:link
a/**/b
//a
//a/@href
/html/body
.//a
a /* x
a */
:lang(en)
:dir(ltr)
:host
::slotted(a)
::part(a)
&
& a
a || b
a[href=x]]
a[[href]]
"#;

fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.trim().is_empty())
}

#[test]
fn macro_and_run_time_agree_on_200_selectors() {
    let count = lines(GOOD).count() + lines(BAD).count();
    assert!(count >= 200, "{count}");
    let mut wrong = Vec::new();
    for (css, good) in lines(GOOD).map(|css| (css, true)).chain(lines(BAD).map(|css| (css, false))) {
        let (checked, parsed, used) = (
            check_selector(css),
            Selector::parse(css),
            super::html("<a>").css(css).map(|m| m.iter().count()),
        );
        // At the end of a selector, the parser closes open brackets and quotes, but the check reports them.
        let is_open = checked.as_ref().is_err_and(|mistake| mistake.reason.contains("not closed"));
        if checked.is_ok() != good || used.is_ok() != good || (parsed.is_ok() != good && !is_open) {
            wrong.push(format!("{css}: {checked:?}, parser {}", parsed.is_ok()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
