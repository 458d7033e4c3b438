//! The limit on the number of files and sockets that the process may have open at once.

/// Raises the limit as far as the system allows. The usual limit of 1,024 is meant for programs that call `select`,
/// but a crawl has a connection to each of many hosts. If the system refuses, the limit stays, and fewer
/// connections stay open.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if current.is_some_and(|current| current < wanted) {
        // If this fails, the crawl only has fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Does nothing: only Unix has such a limit.
#[cfg(not(unix))]
pub fn raise() {}

#[cfg(unix)]
const ENOUGH: u64 = 1 << 16;
