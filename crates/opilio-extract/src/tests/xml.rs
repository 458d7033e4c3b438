//! Tests that XML is read as XML, and that other markup is read as HTML, with a flaw reported.

use super::*;

const XHTML: &str = "application/xhtml+xml";

fn xml(content_type: &str, body: &str) -> Document {
    Document::new(Url::parse(PAGE).unwrap(), Some(content_type), body.to_owned().into())
}

fn paths(document: &Document) -> Vec<String> {
    document.links().iter().map(|link| link.url.path().to_owned()).collect()
}

fn text(document: &Document, css: &str) -> Option<String> {
    document.css(css).unwrap().text()
}

#[test]
fn selectors_work_on_every_kind_of_xml() {
    let body = "<?xml version='1.0'?><!-- c --><rows xmlns:m='urn:m'><row/><row id='2'>b</row>\
                <row><![CDATA[<i>a</i> & b]]></row><Name>N</Name><m:price cur='EUR' m:net='1'>3</m:price>\
                <link>http://x.example/</link></rows>";
    for content_type in
        ["text/xml", "application/xml", "application/x+xml", "application/RDF+XML; charset=utf-8"]
    {
        let document = xml(content_type, body);
        assert_eq!(document.kind(), Kind::Xml);
        assert_eq!(document.css("rows > row").unwrap().texts(), ["", "b", "<i>a</i> & b"], "{content_type}");
        assert_eq!(document.css("row#\\32").unwrap().attr("id"), Some("2"));
        assert_eq!(text(&document, "Name").as_deref(), Some("N"));
        assert_eq!(text(&document, "name"), None, "names have their case");
        assert_eq!(text(&document, "m\\:price[cur=EUR]").as_deref(), Some("3"));
        assert_eq!(document.css("m\\:price").unwrap().attr("m:net"), Some("1"));
        assert_eq!(text(&document, "row + link").as_deref(), None);
        assert_eq!(text(&document, "rows > link").as_deref(), Some("http://x.example/"));
        assert_eq!(document.css("m\\:price").unwrap().first().unwrap().name(), "m:price");
        assert_eq!((document.flaw(), document.cut(), document.title()), (None, None, None));
        assert!(document.links().is_empty(), "it is no feed");
    }
}

#[test]
fn the_links_of_xhtml_are_found() {
    let head = "<?xml version='1.0' encoding='utf-8'?><!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN' 'x.dtd'>";
    let ns = "xmlns='http://www.w3.org/1999/xhtml'";
    for (body, wanted) in [
        ("<head><title/></head><body><a href='/x'/></body>", &["/x"][..]),
        ("<head><script src='a.js'/></head><body><a href='/x'>x</a></body>", &["/x"]),
        ("<head><style/></head><body><textarea/><iframe src='/f'/><a href='/x'/></body>", &["/f", "/x"]),
        ("<head><base href='/b/'/></head><body><a href='x&amp;y#z'>x&nbsp;</a></body>", &["/b/x&y"]),
        (
            "<head><script>//<![CDATA[\n'<a href=\"/s\">'\n//]]></script></head><body><a href='/x'/></body>",
            &["/x"],
        ),
        (
            "<head><meta http-equiv='refresh' content='0;url=/r'/><link rel='next' href='/n'/></head>",
            &["/r", "/n"],
        ),
        (
            "<body><noscript><a href='/x'/></noscript><!-- <a href='/c'/> --><svg xmlns='http://www.w3.org/2000/svg' xmlns:l='http://www.w3.org/1999/xlink'><a l:href='/s'/></svg></body>",
            &["/x", "/s"],
        ),
        ("<body><A HREF='/x'/><p:a xmlns:p='urn:p' href='/p'/></body>", &[]),
    ] {
        for (head, ns) in [(head, ns), ("", ns), ("", "")] {
            let document = xml(XHTML, &format!("{head}<html {ns}>{body}</html>"));
            assert_eq!(paths(&document), wanted, "{body}");
            assert_eq!(document.flaw(), None, "{body}");
        }
    }
    let prefixed = "<h:html xmlns:h='http://www.w3.org/1999/xhtml'><h:title>t</h:title><h:a href='/x'>x<h:br/>y</h:a></h:html>";
    let document = xml(XHTML, prefixed);
    assert_eq!((document.title(), paths(&document)), (Some("t"), vec!["/x".to_owned()]));
    assert_eq!(text(&document, "a").as_deref(), Some("x y"));
    let said = xml(XHTML, &format!("<html {ns}><head><meta name='robots' content='none'/></head></html>"));
    assert!(said.robots("Opilio").nofollow);
}

#[test]
fn broken_xml_is_read_as_html_and_that_is_said() {
    for body in [
        "<html xmlns='http://www.w3.org/1999/xhtml'><title>t</title><p>one<br><a href='/x'>x</a></html>",
        "<!DOCTYPE html><html><title>t</title><ul><li>a<li><a href=/x>x</a></ul></html>",
        "<html><title>t</title><a href='/x'>x</b></a></html>",
        "<html><title>t</title></html><a href='/x'>x</a>",
        "<html><title>t</title><p>ends<a href='/x'>x",
        "<title>t</title><p>two roots</p><a href='/x'>x</a>",
        "words alone <title>t</title> <a href=/x>x</A>",
    ] {
        for content_type in [XHTML, "text/xml", "application/xml"] {
            let document = xml(content_type, body);
            assert_eq!(paths(&document), ["/x"], "{body}");
            assert_eq!(document.flaw(), Some(Flaw::ReadAsHtml), "{body}");
            assert_eq!((document.title(), document.kind()), (Some("t"), Kind::Xml), "{body}");
            let again = xml(content_type, body);
            assert_eq!(text(&again, "html a").as_deref(), Some("x"), "{body}");
            assert_eq!(again.links_with_text(|_| true)[0].text.as_deref(), Some("x"));
        }
    }
    let words = Flaw::ReadAsHtml.to_string();
    assert!(words.contains("broken XML") && words.contains("read as HTML"), "{words}");
    // An empty document has no flaw.
    assert_eq!((xml(XHTML, " \n").links().len(), xml("text/xml", "").flaw()), (0, None));
}

#[test]
fn small_faults_do_not_make_xml_broken() {
    let body = "Warning: x\n<?xml version='1.0'?><rows><row a='1' a='2' b=3>Q & A &nbsp;&copy; &own; <und:x>u</und:x></row></rows>\n<!-- end -->";
    let document = xml("text/xml", body);
    assert_eq!(text(&document, "row").as_deref(), Some("Q & A © &own; u"));
    assert_eq!(document.css("row").unwrap().attr("a"), Some("1"));
    assert_eq!(text(&document, "und\\:x").as_deref(), Some("u"));
    assert_eq!(document.flaw(), None);
    let cut = xml("text/xml", "<rows><row>1</row><row/><row>2</row><row>3");
    assert_eq!(cut.css("rows > row").unwrap().texts(), ["1", "", "2", "3"]);
    assert_eq!(cut.flaw(), Some(Flaw::Unfinished));
}

#[test]
fn declared_entities_neither_blow_up_nor_become_markup() {
    let mut body =
        "<?xml version='1.0'?><!DOCTYPE r [<!ENTITY a0 'ha'><!ELEMENT r ANY><!ENTITY m '<fake>x</fake>'>"
            .to_owned();
    for n in 1..40 {
        body += &format!("<!ENTITY a{n} \"&a{0};&a{0};&a{0};&a{0};&a{0};&a{0};&a{0};&a{0};\">", n - 1);
    }
    body += "<!ENTITY e SYSTEM 'file:///etc/passwd'>]><r>x &a39; &m; &e; &lt;</r>";
    let document = xml("text/xml", &body);
    assert_eq!(text(&document, "r").as_deref(), Some("x &a39; &m; &e; <"));
    assert!(document.css("fake").unwrap().is_empty());
    assert_eq!(document.flaw(), None);
}

#[test]
fn a_million_elements_and_deep_nesting_are_cut_and_that_is_said() {
    let run = || {
        for body in [
            format!("<r><a>1</a>{}</r>", "<a/>".repeat(1_000_000)),
            format!("<r><a>1</a>{}", "<b>".repeat(200_000)),
            format!("<r><a>1</a>{}", "<p:b xmlns:p='urn:p'>".repeat(200_000)),
            format!("<r><a>1</a>{}</r>", "<![CDATA[x]]><b/>".repeat(400_000)),
            format!("<r><a>1</a><b {}/></r>", (0..400_000).map(|n| format!("a{n}='' ")).collect::<String>()),
            format!(
                "<r><a>1</a><b {}/></r>",
                (0..400_000).map(|n| format!("xmlns:a{n}='u' ")).collect::<String>()
            ),
        ] {
            let document = xml("text/xml", &body);
            assert_eq!(text(&document, "r > a").as_deref(), Some("1"));
            assert!(document.css("*").unwrap().iter().count() < 300_000);
            assert_eq!(document.skim().cut, Some(Cut::Memory), "{}", &body[..40]);
            assert!(document.dom_is_cut() && document.flaw().is_none());
        }
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn paragraphs_that_nobody_closes_are_read_as_html() {
    let body = format!("<html>{}<a href='/last'>x</a></html>", "<p>one<br>".repeat(2_000));
    let document = xml(XHTML, &body);
    assert_eq!((paths(&document), document.cut()), (vec!["/last".to_owned()], None));
    assert_eq!(document.flaw(), Some(Flaw::ReadAsHtml));
    let many = format!("<html><title/>{}</html>", "<p>x<br/></p>".repeat(100_000));
    assert_eq!((xml(XHTML, &many).skim().cut, xml(XHTML, &many).flaw()), (Some(Cut::Memory), None));
}

#[test]
fn long_texts_do_not_cut_xml() {
    let words = "word and word ".repeat(50_000);
    for long in [format!("<![CDATA[{words}]]>"), words.clone(), "&amp;".repeat(200_000)] {
        let document = xml("text/xml", &format!("<r><a>{long}</a><b>end</b></r>"));
        assert_eq!(text(&document, "b").as_deref(), Some("end"));
        assert_eq!((document.dom_is_cut(), document.flaw()), (false, None));
    }
}

#[test]
fn xml_is_decoded_before_it_is_read() {
    let words = "<?xml version='1.0' encoding='X'?><r><a>\u{e4}</a></r>";
    let utf16: Vec<u8> = words.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin: Vec<u8> = words.replace('X', "iso-8859-1").chars().map(|c| u8::try_from(c).unwrap()).collect();
    let marked = [b"\xEF\xBB\xBF", words.as_bytes()].concat();
    for body in [utf16, latin, marked, words.as_bytes().to_vec()] {
        let document = Document::new(Url::parse(PAGE).unwrap(), Some("text/xml"), body.into());
        assert_eq!(text(&document, "a").as_deref(), Some("\u{e4}"), "{}", document.encoding());
    }
}
