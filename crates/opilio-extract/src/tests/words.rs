//! Tests of texts in one line: two words stay separate where a reader sees a break between them.

use super::*;

#[test]
fn words_stay_apart_where_a_reader_sees_a_break() {
    for (body, wanted) in [
        ("High Street<br>Leeds", "High Street Leeds"),
        ("High Street<br/>\n Leeds<br>", "High Street Leeds"),
        ("<p>a</p><p>b</p>", "a b"),
        ("a<p>b</p>c", "a b c"),
        ("<ul><li>one<li>two</ul>three", "one two three"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><th>3</th><th>4</th></tr></table>", "1 2 3 4"),
        ("<dl><dt>term<dd>what</dl>", "term what"),
        ("<div>a<div>b</div></div><div></div>c", "a b c"),
        ("<h1>Title</h1>text", "Title text"),
        ("a<hr>b", "a b"),
        ("<select><option>x<option>y</select>", "x y"),
        ("<pre>a\nb</pre>c", "a b c"),
        ("<table><caption>c</caption><tr><td>d</table>", "c d"),
        // There is no break here, since markup may mark a part of a word.
        ("un<b>believ</b>able", "unbelievable"),
        ("H<sub>2</sub>O", "H2O"),
        ("a<span>b</span><a href=/x>c</a><em>d</em>", "abcd"),
        ("long<wbr>word", "longword"),
        ("a<script>x</script>b<style>y</style><template>z</template>", "ab"),
        ("a <b> b</b> c", "a b c"),
        ("<svg><text>a</text><text>b</text></svg>", "ab"),
    ] {
        let page = page(&format!("<body><section>{body}</section></body>"));
        assert_eq!(page.css("section").unwrap().text().as_deref(), Some(wanted), "{body}");
    }
}

#[test]
fn own_texts_and_texts_of_links_stay_apart_too() {
    let page = page(
        "<address>High Street<br>Leeds<p>inner</p>UK <b>x</b>y</address>\
         <a href=/x>High Street<br>Leeds</a><a href=/y><div>a</div><div>b</div></a>",
    );
    let address = page.css("address").unwrap().first().unwrap();
    assert_eq!(address.own_text(), "High Street Leeds UK y");
    let links = page.links_with_text(|_| true);
    let texts: Vec<_> = links.iter().map(|link| link.text.as_deref().unwrap()).collect();
    assert_eq!(texts, ["High Street Leeds", "a b"]);
}

#[test]
fn the_raw_text_stays_available() {
    let page = page("<p>High  Street<br>\nLeeds &amp; <b>x</b><script>1 < 2</script></p>");
    let p = page.css("p").unwrap().first().unwrap();
    assert_eq!(p.raw_text(), "High  Street\nLeeds & x1 < 2");
    assert_eq!(p.text(), "High Street Leeds & x");
}

#[test]
fn the_text_of_a_large_page_is_read_once_through() {
    let page = page(&format!("{}<p>end", "<p>a<br>b</p>".repeat(20_000)));
    assert_eq!(page.css("body").unwrap().text().unwrap().split(' ').count(), 40_001);
}
