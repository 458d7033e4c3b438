//! Finds the page of the shop for a path and query, which may be any text.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::catalog::Catalog;
use crate::samples::SamplePage;

/// The page or action of the shop that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Home,
    Listing {
        page: u32,
        category: Option<String>,
    },
    Product(u32),
    Deals,
    Sample(SamplePage),
    ApiList {
        page: u32,
        per_page: u32,
    },
    ApiProduct(u32),
    Robots,
    Sitemap,
    Orders,
    /// A redirect to a path of this shop, or to any URL.
    Redirect {
        status: u16,
        to: String,
    },
    BadRequest(&'static str),
    NotFound,
}

impl Route {
    /// Parses a path and query. Anything that does not exist in `catalog` is [`Route::NotFound`].
    pub(crate) fn of(path_and_query: &str, catalog: &Catalog) -> Self {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        match path {
            "/" => Self::Home,
            "/products" => listing(query, catalog),
            "/deals" => Self::Deals,
            "/api/products" => api_list(query),
            "/robots.txt" => Self::Robots,
            "/sitemap.xml" => Self::Sitemap,
            "/orders" => Self::Orders,
            "/go" => go(query),
            _ => SamplePage::at(path)
                .map(Self::Sample)
                .or_else(|| by_id(path, catalog))
                .unwrap_or(Self::NotFound),
        }
    }
}

/// The number of products on one page of the API: by default (this constant), and the most that a client can ask
/// for (the next one).
const PER_PAGE_DEFAULT: u32 = 20;
const PER_PAGE_MAX: u32 = 100;

fn listing(query: &str, catalog: &Catalog) -> Route {
    let category = value(query, "category").map(Cow::into_owned);
    let known = |name: &str| Catalog::categories().contains(&name);
    if category.as_deref().is_some_and(|name| !known(name)) {
        return Route::NotFound;
    }
    match number(query, "page", 1) {
        Some(page) if page <= catalog.listing_pages(category.as_deref()) => Route::Listing { page, category },
        Some(_) => Route::NotFound,
        None => Route::BadRequest("page is a number from 1"),
    }
}

fn api_list(query: &str) -> Route {
    let Some(page) = number(query, "page", 1) else {
        return Route::BadRequest("page is a number from 1");
    };
    match number(query, "per_page", PER_PAGE_DEFAULT) {
        Some(per_page) if per_page <= PER_PAGE_MAX => Route::ApiList { page, per_page },
        _ => Route::BadRequest("per_page is a number from 1 to 100"),
    }
}

fn go(query: &str) -> Route {
    let Some(to) = value(query, "to") else {
        return Route::BadRequest("to is missing");
    };
    if to.is_empty() || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Route::BadRequest("to is not a URL");
    }
    let status = match value(query, "status") {
        None => Some(302),
        Some(text) => text.parse().ok().filter(|s| REDIRECTS.contains(s)),
    };
    match status {
        Some(status) => Route::Redirect { status, to: to.into_owned() },
        None => Route::BadRequest("status is one of 300, 301, 302, 303, 307, 308"),
    }
}

const REDIRECTS: [u16; 6] = [300, 301, 302, 303, 307, 308];

fn by_id(path: &str, catalog: &Catalog) -> Option<Route> {
    if let Some(id) = path.strip_prefix("/api/products/") {
        let id = id.parse().ok().filter(|id| catalog.product(*id).is_some())?;
        return Some(Route::ApiProduct(id));
    }
    let name = path.strip_prefix("/products/")?;
    let (id, slug) = name.split_once('-').unwrap_or((name, ""));
    let product = catalog.product(id.parse().ok()?)?;
    Some(if slug == product.slug {
        Route::Product(product.id)
    } else {
        Route::Redirect { status: 301, to: product.path() }
    })
}

/// Returns the value of a query parameter that is a number of at least 1. Returns the default if the parameter is
/// absent, and `None` for any other value.
fn number(query: &str, name: &str, default: u32) -> Option<u32> {
    match value(query, name) {
        None => Some(default),
        Some(text) => text.parse().ok().filter(|number| *number > 0),
    }
}

/// Returns the first value of a query parameter, decoded.
fn value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| percent_decode_str(value).decode_utf8_lossy())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str) -> Route {
        Route::of(target, &Catalog::standard())
    }

    #[test]
    fn products_are_found_by_id_and_corrected_by_slug() {
        assert_eq!(route("/products/334-black-wooden-cable"), Route::Product(334));
        for wrong in ["/products/334", "/products/334-red-box", "/products/334-"] {
            let to = "/products/334-black-wooden-cable".to_owned();
            assert_eq!(route(wrong), Route::Redirect { status: 301, to });
        }
        for missing in ["/products/0-x", "/products/521-x", "/products/x", "/products/"] {
            assert_eq!(route(missing), Route::NotFound);
        }
    }

    #[test]
    fn listings_end_where_the_products_end() {
        let page = |page| Route::Listing { page, category: None };
        assert_eq!(route("/products"), page(1));
        assert_eq!(route("/products?page=26"), page(26));
        assert_eq!(route("/products?page=27"), Route::NotFound);
        assert_eq!(route("/products?category=cars"), Route::NotFound);
        for bad in ["page=0", "page=-1", "page=x", "page=99999999999"] {
            assert!(matches!(route(&format!("/products?{bad}")), Route::BadRequest(_)));
        }
    }

    #[test]
    fn the_api_bounds_its_pages() {
        assert_eq!(route("/api/products?page=2&per_page=100"), Route::ApiList { page: 2, per_page: 100 });
        assert!(matches!(route("/api/products?per_page=101"), Route::BadRequest(_)));
        assert_eq!(route("/api/products/520"), Route::ApiProduct(520));
        assert_eq!(route("/api/products/521"), Route::NotFound);
    }

    #[test]
    fn go_redirects_by_the_wished_status_and_injects_no_header() {
        assert_eq!(
            route("/go?to=http%3A%2F%2F127.0.0.2%2F%3Fa%3D1&status=308"),
            Route::Redirect { status: 308, to: "http://127.0.0.2/?a=1".to_owned() }
        );
        for bad in ["", "to=", "to=/a%0d%0aX:1", "to=/a&status=200", "to=/%FF"] {
            assert!(matches!(route(&format!("/go?{bad}")), Route::BadRequest(_)));
        }
    }
}
