//! Sites that produce new URLs without end, so that the crawler has to stop by itself.

use super::super::act::page;
use super::super::{Asked, Ends, Targets, Trouble};
use super::redirects::scramble;

pub(super) fn troubles(targets: &Targets) -> Vec<Trouble> {
    let year = targets.year;
    let trap = |name: &str, does: &str, pages: u64, next: fn(&Asked) -> Vec<String>| {
        Trouble::at(name, does, Ends::Trap(pages), move |asked| page(links(&next(asked))))
    };
    vec![
        // The limit of 90 pages allows for the twelve months of each of the next five years, and for the months
        // around the first month.
        Trouble::at("calendar", "a link to the next month on every month", Ends::Trap(90), move |asked| {
            page(links(&next_months(&asked.path, year)))
        }),
        trap("path-repetition", "relative links that grow their path", 12, |asked| {
            vec![format!("{}/a/b", asked.path.trim_end_matches('/'))]
        }),
        trap("deeper", "a new folder on every page", 40, |asked| {
            vec![format!("{}/{:x}", asked.path, scramble(asked.count) & 0xffff)]
        }),
        trap("query-growth", "a parameter that is added once more", 12, |asked| {
            let mark = if asked.path.contains('?') { '&' } else { '?' };
            vec![format!("{}{mark}filter=red", asked.path)]
        }),
        trap("wrapped-return", "a return address that wraps itself", 12, |asked| {
            vec![format!(
                "/wrapped-return?to={}",
                asked.path.replace('%', "%25").replace('?', "%3F").replace('=', "%3D")
            )]
        }),
        trap("session-ids", "a new session in every link", 2, |asked| {
            vec![format!("/session-ids?sid={:016x}{:016x}", scramble(asked.count), scramble(asked.count + 7))]
        }),
        trap("session-paths", "a new session in every path", 2, |asked| {
            vec![format!(
                "/session-paths;jsessionid={:016X}{:016X}",
                scramble(asked.count),
                scramble(asked.count + 9)
            )]
        }),
        Trouble::at("not-found", "one page with relative links under every name", Ends::Trap(16), |_| {
            page(links(&["not-found/help.html".to_owned(), "not-found/news/".to_owned()]))
        }),
        trap("counter", "a next page on every page", 200, |asked| {
            let n: u64 = asked.path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            vec![format!("/counter/{}", n + 1)]
        }),
    ]
}

fn links(urls: &[String]) -> String {
    let links: String = urls.iter().map(|url| format!("<a href=\"{url}\">on</a>")).collect();
    format!("<title>on and on</title>{links}")
}

fn next_months(path: &str, year: u16) -> Vec<String> {
    let mut parts =
        path.trim_start_matches("/calendar").split('/').filter_map(|part| part.parse::<u16>().ok());
    match (parts.next(), parts.next()) {
        (Some(year), Some(12)) => vec![format!("/calendar/{}/01", year + 1), format!("/calendar/{year}/11")],
        (Some(year), Some(month)) => vec![format!("/calendar/{year}/{:02}", month + 1)],
        _ => vec![format!("/calendar/{}/01", year + 4)],
    }
}
