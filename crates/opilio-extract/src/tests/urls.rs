//! Tests of URL resolution with the reference cases of the WHATWG, which are in the folder `tests/urls`.

use super::*;

const CASES: &str = include_str!("../../../../tests/urls/whatwg.json");

#[derive(serde::Deserialize)]
struct Cases {
    cases: Vec<Case>,
    ours: Vec<Case>,
}

/// A reference case: a link, the URL of the page that contains the link, and the link's target (`None` if invalid).
type Case = (String, String, Option<String>);

fn cases() -> Vec<Case> {
    let Cases { mut cases, ours } = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 600, "{}", cases.len());
    cases.extend(ours);
    cases
}

fn on(page: &str, body: String) -> Document {
    Document::new(Url::parse(page).unwrap(), Some("text/html; charset=utf-8"), body.into())
}

/// Returns the text as the value of an attribute in HTML; `None` if HTML cannot express the text.
fn attribute(text: &str) -> Option<String> {
    (!text.contains(['\0', '\r'])).then(|| text.replace('&', "&amp;").replace('"', "&quot;"))
}

#[test]
fn links_lead_where_the_reference_says() {
    for (link, page, wanted) in cases() {
        let wanted = wanted.as_deref();
        let resolved = on(&page, String::new()).resolve(&link);
        assert_eq!(resolved.as_ref().map(Url::as_str), wanted, "{link:?} on {page}");

        let Some(link) = attribute(&link) else { continue };
        for (tag, kind) in [("a href", "a"), ("area href", "area"), ("iframe src", "iframe")] {
            let body = format!("<{tag}=\"{link}\"></a>");
            let (streamed, parsed) = (on(&page, body.clone()), on(&page, body));
            parsed.css("p").unwrap();
            for links in [streamed.links(), parsed.links(), parsed.links_with_text(|_| true)] {
                let found: Vec<_> =
                    links.iter().map(|link| (link.url.as_str(), link.kind.as_str())).collect();
                assert_eq!(
                    found,
                    wanted.map(|url| (url, kind)).into_iter().collect::<Vec<_>>(),
                    "{link:?} on {page}"
                );
            }
        }
    }
}

#[test]
fn base_leads_where_the_reference_says() {
    for (link, page, wanted) in cases() {
        let Some(link) = attribute(&link) else { continue };
        // A base URL that is not http or https has no effect.
        let base = Url::parse(wanted.as_deref().unwrap_or(&page)).unwrap();
        let wanted = base.join("x").unwrap();
        let found = on(&page, format!("<base href=\"{link}\"><a href=x>")).links();
        assert_eq!(urls(&found), [wanted.as_str()], "{link:?} on {page}");
    }
}

#[test]
fn needless_slashes_and_spaces_matter_nowhere() {
    let cases = [
        ("<a href='///host/x'>", "https://host/x"),
        ("<meta http-equiv=refresh content='0; url=///host/x'>", "https://host/x"),
        ("<img srcset='///host/x 1x'>", "https://host/x"),
        ("<img src='\\/\\host/x'>", "https://host/x"),
        ("<link rel=next href='////host/x'>", "https://host/x"),
        ("<base href='///host/'><a href=x>", "https://host/x"),
        ("<a href='/a #x'>", "https://site.example/a%20"),
        ("<area href='/a \t#x'>", "https://site.example/a%20"),
        ("<a href='?q #x'>", "https://site.example/dir/page?q%20"),
        ("<a href='/a #'>", "https://site.example/a%20"),
        ("<a href=' /a '>", "https://site.example/a"),
    ];
    for (body, wanted) in cases {
        for links in both(body) {
            assert_eq!(urls(&links), [wanted], "{body}");
        }
        let canonical = page("<link rel=canonical href='///host/x'>").canonical().unwrap();
        assert_eq!(canonical.as_str(), "https://host/x");
    }
}
