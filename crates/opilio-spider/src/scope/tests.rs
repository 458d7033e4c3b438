//! Tests which URLs belong to a crawl.

#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn refusal(scope: &Scope, url: &str, depth: u16) -> Option<Filtered> {
    let url = Url::parse(url).unwrap();
    scope.refuses(&url, &Host::of(&url).unwrap(), depth)
}

fn with_seed(scope: Scope) -> Scope {
    scope.host(Host::of(&Url::parse("http://shop.example.com/").unwrap()).unwrap())
}

#[test]
fn hosts_are_kept_to() {
    let host = with_seed(Scope::new());
    assert_eq!(refusal(&host, "http://shop.example.com/a", 1), None);
    assert_eq!(refusal(&host, "https://shop.example.com/a", 1), None);
    assert_eq!(refusal(&host, "http://blog.example.com/a", 1), Some(Filtered::ScopeHost));
    let domain = with_seed(Scope::new().follow(Follow::SameDomain));
    assert_eq!(refusal(&domain, "http://blog.example.com/a", 1), None);
    assert_eq!(refusal(&domain, "http://example.org/a", 1), Some(Filtered::ScopeHost));
    assert_eq!(
        refusal(&with_seed(Scope::new().follow(Follow::None)), "http://shop.example.com/a", 1),
        Some(Filtered::ScopeHost)
    );
    assert_eq!(refusal(&with_seed(Scope::new().follow(Follow::All)), "http://example.org/a", 1), None);
}

#[test]
fn a_redirect_within_its_host_is_followed_even_if_no_link_is() {
    let scope = with_seed(Scope::new().follow(Follow::None));
    let refusal = |url: &str| {
        let url = Url::parse(url).unwrap();
        scope.refuses_redirect(&url, &Host::of(&url).unwrap(), 0)
    };
    assert_eq!(refusal("https://shop.example.com/new"), None);
    assert_eq!(refusal("http://example.org/new"), Some(Filtered::ScopeHost));
}

#[test]
fn patterns_know_one_special_character() {
    let scope = with_seed(Scope::new().include("*/products/*").unwrap().exclude("*?print=*").unwrap());
    assert_eq!(refusal(&scope, "http://shop.example.com/products/1", 1), None);
    assert_eq!(refusal(&scope, "http://shop.example.com/blog/1", 1), Some(Filtered::ScopePattern));
    assert_eq!(
        refusal(&scope, "http://shop.example.com/products/1?print=1", 1),
        Some(Filtered::ScopePattern)
    );
    assert_eq!(refusal(&scope, "http://shop.example.com/products/1/print=1", 1), None);
    for odd in ["[", "{a", "a}b", "\\", "!x", "[!a]*", "**/x"] {
        let scope = Scope::new().follow(Follow::All).exclude(odd).unwrap();
        assert_eq!(refusal(&scope, "http://a.example/q", 0), None, "{odd}");
    }
}

#[test]
fn patterns_are_read_in_any_alphabet() {
    let scope = with_seed(Scope::new().include("*/café/*").unwrap().exclude("*/crème/*").unwrap());
    assert_eq!(refusal(&scope, "http://shop.example.com/caf%C3%A9/1", 1), None);
    assert_eq!(refusal(&scope, "http://shop.example.com/cafe/1", 1), Some(Filtered::ScopePattern));
    let both = "http://shop.example.com/café/cr%c3%a8me/1";
    assert_eq!(refusal(&scope, both, 1), Some(Filtered::ScopePattern));
}

#[test]
fn traps_are_not_followed_by_links_and_redirects_but_a_seed_may_look_like_one() {
    let url = Url::parse("http://shop.example.com/a/b/a/b/a/b/a/b/").unwrap();
    let host = Host::of(&url).unwrap();
    let scope = with_seed(Scope::new());
    assert_eq!(scope.refuses(&url, &host, 1), Some(Filtered::TrapPath));
    assert_eq!(scope.refuses_redirect(&url, &host, 1), Some(Filtered::TrapPath));
    assert_eq!(scope.refuses_anywhere(&url, 0), None);
    assert_eq!(with_seed(Scope::new().traps(TrapRules::none())).refuses(&url, &host, 1), None);
}

#[test]
fn only_a_page_about_a_month_has_links_into_a_calendar() {
    let mut scope = with_seed(Scope::new());
    let url = |path: &str| Url::parse(&format!("http://shop.example.com{path}")).unwrap();
    let (page, next) = (url("/calendar/2031/12"), url("/calendar/2032/01"));
    assert_eq!(scope.calendar(Some(&page))(&next), None, "nobody said what year it is");
    scope.begin(2026);
    assert_eq!(scope.calendar(Some(&page))(&next), Some(Filtered::TrapCalendar));
    assert_eq!(scope.calendar(Some(&page))(&url("/calendar/2031/11")), None);
    assert_eq!(scope.calendar(Some(&url("/laws")))(&next), None);
    assert_eq!(scope.calendar(None)(&next), None);
}

#[test]
fn depth_and_length_are_bounded() {
    let scope = with_seed(Scope::new().max_depth(2).max_url_bytes(40));
    assert_eq!(refusal(&scope, "http://shop.example.com/a", 2), None);
    assert_eq!(refusal(&scope, "http://shop.example.com/a", 3), Some(Filtered::MaxDepth));
    assert_eq!(
        refusal(&scope, &format!("http://shop.example.com/{}", "a".repeat(40)), 1),
        Some(Filtered::UrlTooLong)
    );
}
