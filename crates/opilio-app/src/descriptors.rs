//! How many files and sockets the command may have open at once.

/// Asks for as many as the system lets a process have, within reason: the usual 1,024 are made for
/// programs that wait in `select`, and a crawl of many hosts has a connection to each. Where that is
/// refused, fewer connections are kept open.
#[cfg(unix)]
pub fn raise() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(ENOUGH, |maximum| maximum.min(ENOUGH));
    if current.is_some_and(|current| current < wanted) {
        // Nothing else depends on it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// Elsewhere there is no such limit.
#[cfg(not(unix))]
pub fn raise() {}

#[cfg(unix)]
const ENOUGH: u64 = 1 << 16;
