//! Logs in by a form. The request also sends the hidden fields of the form, and the session keeps the cookies of the
//! answer. `cargo run --example login_form`
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

mod support;

use opilio::prelude::*;

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Step {
    Login,
    Members,
}

struct Club {
    base: String,
}

impl Spider for Club {
    type Item = String;
    type Step = Step;

    // The seed is the page with the form. If a page for members were a seed, it would be fetched before the
    // login and not again.
    fn seeds(&self) -> Vec<Request<Step>> {
        vec![Request::get(format!("{}/login", self.base), Step::Login)]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match page.step() {
            Step::Login => {
                let mut form = page.form("form.login")?;
                form.set("user", "alice").set("password", "secret");
                // The step `Members` reads the answer to the login, and requests the pages for members.
                found.request(Request::submit(&form, Step::Members));
            }
            Step::Members => {
                found.item(page.css("h1")?.need()?.text());
                found.follow_links(page, Step::Members);
            }
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = support::serve(|asked| {
        let is_member = asked.head.contains("cookie: session=1");
        let sent = asked.body.contains("csrf=7") && asked.body.contains("password=secret");
        let (cookie, page) = match (asked.method.as_str(), asked.target.as_str()) {
            ("POST", _) if sent => ("set-cookie: session=1\n", "<h1>Welcome</h1><a href=/news>news</a>"),
            ("GET", "/news") if is_member => ("", "<h1>News</h1>"),
            ("GET", "/login") => ("", LOGIN),
            _ => ("", "<h1>Members only</h1>"),
        };
        format!("content-type: text/html\n{cookie}\n{page}")
    })?;

    let (output, collected) = opilio::export::Collect::new();
    let report = Crawler::new(Club { base })
        .host(HostPolicy::new().rate(per_second(100)))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .export(output)
        .run()
        .await?;
    println!("{report}");
    assert_eq!(collected.items::<String>()?, ["Welcome", "News"]);
    Ok(())
}

const LOGIN: &str = "<form class=login method=post><input type=hidden name=csrf value=7>\
    <input name=user><input name=password></form>";

#[test]
fn it_runs() {
    main().expect("the example ends well");
}
