//! Tests of SVG and MathML inside pages: element names there do not have the meaning that they have in HTML.

use super::*;

#[test]
fn base_and_others_count_in_html_alone() {
    let cases: &[(&str, &[&str])] = &[
        ("<svg><base href=/s/></svg><a href=x>", &["/dir/x"]),
        ("<math><base href=/s/></math><a href=x>", &["/dir/x"]),
        ("<svg><g><base href=/s/></g></svg><base href=/b/><a href=x>", &["/b/x"]),
        ("<SVG><BASE HREF=/s/></SVG><a href=x>", &["/dir/x"]),
        ("<svg><desc><base href=/b/></desc></svg><a href=x>", &["/b/x"]),
        ("<svg><link rel=next href=/s></svg><a href=x>", &["/dir/x"]),
        ("<svg><area href=/s></svg><a href=x>", &["/dir/x"]),
        ("<svg><iframe src=/s></iframe></svg><a href=x>", &["/dir/x"]),
        ("<math><area href=/s></math><a href=x>", &["/dir/x"]),
        ("<svg><source srcset=/s></svg><a href=x>", &["/dir/x"]),
    ];
    for (body, wanted) in cases {
        for links in both(body) {
            assert_eq!(links.iter().map(|link| link.url.path()).collect::<Vec<_>>(), *wanted, "{body}");
        }
    }
    for body in ["<svg><link rel=canonical href=/s></svg>", "<math><link rel=canonical href=/s></math>"] {
        assert_eq!(page(body).canonical(), None, "{body}");
    }
}

#[test]
fn a_title_is_the_pages_in_html_alone() {
    for (body, wanted) in [
        ("<math><title>m</title></math><title>page</title>", Some("page")),
        ("<svg><title>s</title></svg><title>page</title>", Some("page")),
        ("<svg><g><title>s</title></g></svg>", None),
        ("<math><mrow><title>m</title></mrow></math>", None),
        ("<svg><title>s</title></svg><math><title>m</title></math><title>page</title>", Some("page")),
        ("<svg><foreignObject><title>in</title></foreignObject></svg><title>page</title>", Some("in")),
        ("<svg></svg><title>page</title>", Some("page")),
        ("<svg/><title>page</title>", Some("page")),
    ] {
        let parsed = page(body);
        parsed.css("p").unwrap();
        assert_eq!(parsed.title(), wanted, "{body}");
        assert_eq!(page(body).title(), wanted, "{body}");
    }
}

#[test]
fn a_link_of_a_drawing_is_a_link() {
    let cases: &[(&str, &[&str])] = &[
        ("<svg><a xlink:href=/x><text>t</text></a></svg>", &["/x"]),
        ("<svg><a href=/x></a></svg>", &["/x"]),
        ("<svg><a href=/x xlink:href=/y></a></svg>", &["/x"]),
        ("<svg><g><a XLINK:HREF='/x?a=1&amp;b#c'></a></g></svg>", &["/x"]),
        ("<svg><a xlink:href='/x' rel=nofollow></a></svg><a href=/y>", &["/x", "/y"]),
        ("<svg><use xlink:href=/x /><image xlink:href=/y /></svg>", &[]),
        ("<a xlink:href=/x>", &[]),
        ("<svg><desc><a xlink:href=/x></a></desc></svg>", &[]),
        ("<svg><a xlink:href='#top'></a></svg>", &["/dir/page"]),
    ];
    for (body, wanted) in cases {
        for links in both(body) {
            assert_eq!(links.iter().map(|link| link.url.path()).collect::<Vec<_>>(), *wanted, "{body}");
        }
    }
    let page = page(cases[0].0);
    assert_eq!(page.css("svg a").unwrap().attr("xlink:href"), Some("/x"));
    assert_eq!(urls(&page.links_at("svg a").unwrap()), ["https://site.example/x"]);
    assert_eq!(page.links_with_text(|_| true)[0].text.as_deref(), Some("t"));
}
