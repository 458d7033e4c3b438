//! A spider's file imports the prelude of `opilio`, and the tests in it add that of the test kit.
use opilio::prelude::*;

struct Titles;
impl Spider for Titles {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get("https://shop.example/", ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(page.title().unwrap_or_default().to_owned());
        found.follow_links(page, ());
        Ok(())
    }
}

mod tests {
    use super::*;
    use opilio_testkit::prelude::*;

    #[test]
    fn no_name_of_one_prelude_hides_one_of_the_other() {
        let web = Web::new().page("/", "<title>Lamps</title><a href=/bowl>Glass bowl</a>").page("/bowl", "");
        let run = crawl(Titles).on(web).max_pages(1).run();
        run.assert_items(["Lamps"]);
    }
}
