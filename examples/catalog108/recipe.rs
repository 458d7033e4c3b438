//! The usual code for a crawl without a framework, as a lesson on crawling shows it: a semaphore limits the requests
//! in flight, a window of time limits their rate, and each URL has its own retries.
//!
//! This code runs against the local server only. It has no state for the host: when the server refuses a request,
//! only the task of that URL waits, and the other 49 tasks go on with their requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Slightly more than a minute, since the server's minute begins only when the request arrives.
const MINUTE: Duration = Duration::from_millis(60_250);
const RETRIES: u32 = 5;

/// Lets at most `per_minute` requests start in any minute.
struct Window {
    per_minute: usize,
    starts: Mutex<VecDeque<Instant>>,
}

impl Window {
    async fn wait(&self) {
        let mut starts = self.starts.lock().await;
        if starts.len() >= self.per_minute
            && let Some(oldest) = starts.pop_front()
        {
            sleep_until(oldest + MINUTE).await;
        }
        starts.push_back(Instant::now());
    }
}

/// Fetches all URLs. Returns how many of them succeeded.
pub(crate) async fn fetch_all(
    urls: Vec<String>,
    per_minute: usize,
    in_flight: usize,
) -> reqwest::Result<usize> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let slots = Arc::new(Semaphore::new(in_flight));
    let window = Arc::new(Window { per_minute, starts: Mutex::default() });
    let mut tasks = JoinSet::new();
    for url in urls {
        let (client, slots, window) = (client.clone(), Arc::clone(&slots), Arc::clone(&window));
        tasks.spawn(async move {
            let _slot = slots.acquire().await;
            fetch(&client, &window, &url).await
        });
    }
    Ok(tasks.join_all().await.into_iter().filter(|ok| *ok).count())
}

/// Fetches one URL. Retries after 1, 2, 4… seconds with jitter when the server refuses or fails.
async fn fetch(client: &reqwest::Client, window: &Window, url: &str) -> bool {
    for attempt in 0..=RETRIES {
        window.wait().await;
        if let Ok(answer) = client.get(url).send().await {
            let status = answer.status();
            if status.is_success() {
                return answer.bytes().await.is_ok();
            }
            if status.as_u16() != 429 && !status.is_server_error() {
                return false;
            }
        }
        sleep(Duration::from_secs(1 << attempt).mul_f64(0.5 + fastrand::f64())).await;
    }
    false
}
