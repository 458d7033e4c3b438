//! Tests of `check` with requests that are more than a GET of a URL.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opilio_engine::{Found, Page, ParseError, Request, Spider};
use opilio_extract::Extract;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::support::{Ended, begin_program, finish, run_program};

#[derive(Extract)]
struct Stock {
    #[json("lamps")]
    lamps: u32,
}

#[derive(Extract)]
struct Results {
    #[css("p.result")]
    result: String,
}

#[derive(Extract)]
struct Lamp {
    #[css("h1")]
    name: String,
}

#[derive(Extract)]
struct Reviews {
    #[css("p.review")]
    review: String,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Step {
    Form,
    Results,
    Api,
    Lamp,
    Reviews,
}

struct Shop {
    base: String,
}

impl Spider for Shop {
    type Item = String;
    type Step = Step;

    fn seeds(&self) -> Vec<Request<Step>> {
        let api = Request::get(format!("{}/api", self.base), Step::Api).header("accept", "application/json");
        vec![Request::get(format!("{}/search", self.base), Step::Form), api]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        let text = match page.step() {
            Step::Form => {
                found.request(Request::post("/search", Step::Results).form([("q", "lamp")]));
                found.request(Request::get("/lamp", Step::Lamp));
                return Ok(());
            }
            Step::Results => page.extract::<Results>()?.result,
            Step::Api => page.extract::<Stock>()?.lamps.to_string(),
            Step::Lamp => {
                found.request(Request::get("/lamp", Step::Reviews).again());
                page.extract::<Lamp>()?.name
            }
            Step::Reviews => page.extract::<Reviews>()?.review,
        };
        found.item(text);
        Ok(())
    }
}

/// The program under test.
#[test]
fn the_program() {
    run_program(|base| Shop { base }, |app| app.output("items.jsonl"));
}

/// A server of one search, one API and one page. It ends with the process.
struct Server {
    base: String,
    /// The method and path of each request.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = log.clone();
                std::thread::spawn(move || answer(stream, &log));
            }
        });
        Self { base, requests }
    }

    fn run(&self, dir: &TempDir, command: &str) -> Ended {
        let args = [command, "--base", &self.base];
        finish(begin_program("requests::the_program", dir, &args))
    }

    /// Returns the requests since the last call, without those for robots.txt, in alphabetical order.
    fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut *self.requests.lock().unwrap());
        requests.retain(|request| !request.contains("robots"));
        requests.sort();
        requests
    }
}

/// Answers one request, and closes the connection.
fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        head.push(line.to_ascii_lowercase());
    }
    let Some(first) = head.first() else { return };
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let request = first.trim_end_matches(" http/1.1").to_owned();
    let wants_json = head.iter().any(|line| line == "accept: application/json");
    let (status, kind, body) = match request.as_str() {
        "get /search" => ("200 OK", "text/html", "<form method=post><input name=q></form>"),
        "post /search" => ("200 OK", "text/html", "<p class=result>Lamp</p>"),
        "get /api" if wants_json => ("200 OK", "application/json", "{\"lamps\": 7}"),
        "get /api" => ("406 Not Acceptable", "text/plain", "ask for application/json"),
        "get /lamp" => ("200 OK", "text/html", "<h1>Lamp</h1><p class=review>bright</p>"),
        _ => ("404 Not Found", "text/plain", ""),
    };
    log.lock().unwrap().push(request);
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
    let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
}

#[test]
fn safe_requests_are_sent_again_as_they_were_and_steps_of_others_are_named() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    let ended = server.run(&dir, "record");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let all = ["get /api", "get /lamp", "get /lamp", "get /search", "post /search"];
    assert_eq!(server.requests(), all);

    let ended = server.run(&dir, "check");
    assert_eq!((ended.code, ended.stdout.contains("now")), (0, false), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(server.requests(), ["get /api", "get /lamp", "get /lamp", "get /search"]);
    for words in [
        "4 of 4 pages compared with cassette.warc, of the steps Api, Form, Lamp, Reviews",
        "the step Results is not compared: its pages were requested by POST",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}
