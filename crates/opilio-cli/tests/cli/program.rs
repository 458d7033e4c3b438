//! A program that is built on `opilio::main`: this test binary, if an environment variable is set.

use std::process::Command;

use opilio::{Extract, Found, Page, ParseError, Request, Spider};
use opilio_app::App;
use opilio_app::clap::Arg;
use serde_json::{Value, json};

use crate::support::command_of;

/// Returns a command that runs the program. Its arguments are in the variable [`ARGS`].
pub fn program() -> Command {
    let mut command = command_of(std::env::current_exe().unwrap().as_os_str());
    command.args(["--exact", "program::the_program", "--nocapture"]);
    command
}

/// A spider that writes the URL of each page, reads its price if there is one, and follows all links.
struct Pages(String);

#[derive(Extract)]
struct Priced {
    #[css("p.price")]
    price: Option<String>,
}

impl Spider for Pages {
    type Item = Value;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![Request::get(&*self.0, ())]
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let priced: Priced = page.extract()?;
        found.item(json!({ "url": page.requested_url(), "price": priced.price }));
        found.follow_links(page, ());
        Ok(())
    }
}

/// Runs the program if the environment variable is set, and otherwise does nothing: the tests start it as a process.
#[test]
fn the_program() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let seed = Arg::new("seed").required(true);
    let app = App::with_flags([seed], |flags| {
        Ok(Pages(flags.get_one::<String>("seed").cloned().unwrap_or_default()))
    });
    let code = match app.run(args.split('\n')) {
        Ok(ended) => ended.tell().code(),
        Err(failure) => failure.tell(),
    };
    std::process::exit(code.into());
}

/// The environment variable with the arguments of the program, one on each line.
pub const ARGS: &str = "TEST_KILL_ARGS";
