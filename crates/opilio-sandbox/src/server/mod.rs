//! Runs the simulated hosts in real time, on one thread, with one listener per host on 127.0.0.x.
//!
//! `accept` accepts connections, `exchange` answers requests, and `wire` is a socket that can end with a reset.

mod accept;
mod exchange;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use socket2::Socket;
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::config::HostConfig;
use crate::host::Host;
use crate::log::Log;

/// The reason why a sandbox could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// There is no host, or there are more than 254.
    #[error("cannot start a sandbox of {hosts} hosts: 1 to 254 are possible")]
    Hosts {
        /// The number of hosts.
        hosts: usize,
    },
    /// The server cannot listen on an address. On macOS only 127.0.0.1 exists unless aliases are set up.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The server's thread or its runtime cannot be started.
    #[error("cannot start the sandbox's thread")]
    Thread {
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// Collects the configurations of hosts and starts a server for them.
#[derive(Debug, Default)]
pub struct SandboxBuilder {
    hosts: Vec<HostConfig>,
    port: u16,
}

impl SandboxBuilder {
    /// Adds a host. The first host is on 127.0.0.1, the next on 127.0.0.2, and so on.
    pub fn host(mut self, config: HostConfig) -> Self {
        self.hosts.push(config);
        self
    }

    /// Adds several hosts.
    pub fn hosts(mut self, configs: impl IntoIterator<Item = HostConfig>) -> Self {
        self.hosts.extend(configs);
        self
    }

    /// Sets the port, which is the same on every address. 0, the default, chooses a port that is free on all of them.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Divides every duration of the hosts that were added so far by `k`: see [`HostConfig::scaled`].
    pub fn scaled(mut self, k: u32) -> Self {
        self.hosts = self.hosts.into_iter().map(|host| host.scaled(k)).collect();
        self
    }

    /// Starts the server. When this function returns, connections are accepted.
    ///
    /// # Errors
    ///
    /// If there are no or too many hosts, an address cannot be bound, or no thread can be started.
    pub fn start(self) -> Result<Sandbox, SandboxError> {
        let hosts = self.hosts.len();
        if !(1..=254).contains(&hosts) {
            return Err(SandboxError::Hosts { hosts });
        }
        let listeners = listen(hosts, self.port)?;
        let began = Instant::now();
        let wall_start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let served: Vec<_> = self
            .hosts
            .into_iter()
            .zip(&listeners)
            .map(|(config, (addr, _))| {
                let config = config.wall_start_unix(wall_start).base_url(format!("http://{addr}"));
                Arc::new(Served { addr: *addr, began, host: Mutex::new(Host::new(config)) })
            })
            .collect();
        let listeners = listeners.into_iter().map(|(_, listener)| listener);
        let tasks = served.iter().cloned().zip(listeners).collect();
        let (stop, stopped) = watch::channel(false);
        let thread = spawn(tasks, stopped).map_err(|source| SandboxError::Thread { source })?;
        Ok(Sandbox { served, began, stop: Arc::new(stop), thread: Some(thread) })
    }
}

/// A server of simulated hosts on loopback. It stops when it is stopped or dropped.
#[derive(Debug)]
pub struct Sandbox {
    served: Vec<Arc<Served>>,
    began: Instant,
    stop: Arc<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Returns a builder without hosts, on a free port.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    /// Returns the number of hosts.
    pub fn hosts(&self) -> usize {
        self.served.len()
    }

    /// Returns the address of the host with this number, counted from 0.
    ///
    /// # Panics
    /// If there is no such host. All methods that take the number of a host panic in this case.
    pub fn addr(&self, host: usize) -> SocketAddr {
        self.served[host].addr
    }

    /// Returns the base URL of a host without a slash at the end, for instance `http://127.0.0.1:4108`.
    pub fn base(&self, host: usize) -> String {
        format!("http://{}", self.addr(host))
    }

    /// Returns the URL of a path on a host. The path must begin with a slash.
    pub fn url(&self, host: usize, path: &str) -> String {
        format!("http://{}{path}", self.addr(host))
    }

    /// Returns a copy of a host's log at this time.
    pub fn log(&self, host: usize) -> Log {
        self.served[host].lock().log().clone()
    }

    /// Calls a function with a host, for instance to read which orders were carried out. The host serves no request
    /// while the function runs.
    pub fn with_host<T>(&self, host: usize, look: impl FnOnce(&Host) -> T) -> T {
        look(&self.served[host].lock())
    }

    /// Returns the catalog of a host, if it serves one.
    pub fn catalog(&self, host: usize) -> Option<Arc<Catalog>> {
        self.served[host].lock().config().catalog().cloned()
    }

    /// Returns the time since the sandbox's start. The logs use the same time.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns a handle that can stop the sandbox from elsewhere, for instance from a signal handler.
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: Arc::clone(&self.stop) }
    }

    /// Blocks until a [`Stopper`] stops the sandbox.
    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the message of the panic has been printed already.
            let _ = thread.join();
        }
    }

    /// Stops the sandbox at once: closes listeners and connections, even if requests are in flight. The logs can be
    /// read until the sandbox is dropped.
    pub fn stop(&mut self) {
        self.stopper().stop();
        self.wait();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Stops a [`Sandbox`] from another thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    stop: Arc<watch::Sender<bool>>,
}

impl Stopper {
    /// Asks the sandbox to stop. Does not wait until it has stopped.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A host that the server serves. Its connections and the owner of the sandbox share it.
#[derive(Debug)]
struct Served {
    addr: SocketAddr,
    began: Instant,
    host: Mutex<Host>,
}

impl Served {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Locks the host. Its state is consistent after every call, so the lock is used even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Task = (Arc<Served>, TcpListener);

fn spawn(tasks: Vec<Task>, mut stopped: watch::Receiver<bool>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (served, listener) in tasks {
                tokio::spawn(accept::run(served, listener));
            }
            // An error means that the sandbox was dropped. Then the server stops, too.
            let _ = stopped.wait_for(|stop| *stop).await;
        });
    })
}

type Listeners = Vec<(SocketAddr, TcpListener)>;

/// Binds one address for each host, all with the same port.
fn listen(hosts: usize, port: u16) -> Result<Listeners, SandboxError> {
    const TRIES: usize = 50;
    let mut outcome = bind_all(hosts, port);
    for _ in 1..TRIES {
        match &outcome {
            // A port that is free on one address may be in use on another: try the next port.
            Err(SandboxError::Listen { source, .. })
                if port == 0 && source.kind() == io::ErrorKind::AddrInUse =>
            {
                outcome = bind_all(hosts, port);
            }
            _ => break,
        }
    }
    outcome
}

fn bind_all(hosts: usize, port: u16) -> Result<Listeners, SandboxError> {
    let mut port = port;
    let mut listeners = Listeners::new();
    for host in (1..=u8::MAX).take(hosts) {
        let addr = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), port));
        let bound =
            reserve(addr).and_then(listen_on).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (addr, listener) = bound.map_err(|source| SandboxError::Listen { addr, source })?;
        port = addr.port();
        listeners.push((addr, listener));
    }
    Ok(listeners)
}

/// Reserves an address without listening on it: connections to this address are refused.
fn reserve(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    // On Windows this option would let other processes use the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn listen_on(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

const BACKLOG: i32 = 1024;

#[cfg(test)]
mod tests;
