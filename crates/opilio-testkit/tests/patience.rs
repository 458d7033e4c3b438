//! A test that is a complete file: a 429, a hold of an hour, and a resume after a kill.
use opilio_testkit::prelude::*;

struct Titles;
impl Spider for Titles {
    type Item = String;
    type Step = ();
    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get("https://shop.example/products", ())]
    }
    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.title().unwrap_or_default().to_owned());
        found.follow(page, "a.product", ()).map(drop)
    }
}

#[test]
fn an_hour_of_holding_still_survives_a_kill() {
    let hour = Fault::Refusal { status: 429, wait_seconds: 3_600 };
    let rules = HostConfig::new().fault(Trigger::AfterServed { served: 9, lasts: MINUTE }, hour);
    let run = crawl(Titles).on(Web::new().site(rules)).killed_at(30 * MINUTE).run();
    run.log.assert_polite();
    assert!(run.took > HOUR);
    assert_eq!((run.items.len(), run.log.home().closings().len()), (21, 1));
}
