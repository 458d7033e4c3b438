//! Reads a JSON API page by page: each answer holds a cursor, which the next request sends. `cargo run
//! --example json_api`
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

mod support;

use opilio::prelude::*;

/// The fields of the API's answer that this example reads.
#[derive(Deserialize)]
struct Answer {
    items: Vec<Lamp>,
    next: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Lamp {
    id: u32,
    name: String,
}

struct Api {
    base: String,
}

impl Api {
    fn ask(&self, cursor: &str) -> Request<()> {
        // A POST that failed is not retried, unless `safe_to_repeat` allows it.
        Request::post(format!("{}/search", self.base), ()).json(&json!({ "after": cursor })).safe_to_repeat()
    }
}

impl Spider for Api {
    type Item = Lamp;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![self.ask("")]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let answer: Answer = page.json()?;
        answer.items.into_iter().for_each(|lamp| found.item(lamp));
        if let Some(cursor) = answer.next {
            // Requests with different bodies are different requests, even if their URL is the same.
            found.request(self.ask(&cursor));
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = support::serve(|asked| {
        let (first, next) = match &*asked.body {
            r#"{"after":""}"# => (0, json!("b")),
            r#"{"after":"b"}"# => (10, json!("c")),
            _ => (20, json!(null)),
        };
        let items: Vec<_> = (first..first + 10).map(|id| json!({ "id": id, "name": "lamp" })).collect();
        format!("content-type: application/json\n\n{}", json!({ "items": items, "next": next }))
    })?;

    let report = Crawler::new(Api { base })
        .host(HostPolicy::new().rate(per_second(100)))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .export(JsonLines::stdout())
        .run()
        .await?;
    println!("{report}");
    assert_eq!((report.pages, report.items), (3, 30));
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example ends well");
}
