//! The trait `Frontier`: the calls that every store implements.

use bytes::Bytes;
use opilio_core::{Host, Lease, LeaseId, Reason, SinkPosition, Timestamp};

use crate::batch::{Admission, AdmittedCounts, SettledCounts, Settlement, Want};
use crate::chain::Decided;
use crate::error::FrontierError;
use crate::permit::Permit;
use crate::stats::{Failure, FrontierStats};

/// The URLs that a crawl still has to fetch, their order, and how the finished URLs ended.
///
/// One thread owns a store and makes every call. Calls are synchronous and take batches, so that a store on a network
/// needs one round trip for each batch. The caller passes the time as an argument. Each call that changes the store
/// is one atomic commit: after a kill at any point, the store holds the whole batch or nothing of it.
///
/// # Exactly once
///
/// A page is settled after its links and items are safe, in this order:
///
/// 1. [`admit`](Self::admit) its links;
/// 2. hand its items to the exporters under the next number of one sequence;
/// 3. when all exporters have written up to some number of the sequence, [`settle`](Self::settle) the leases of
///    the pages up to that number, together with the positions of the sinks.
///
/// A lease is never stored: a record that is not settled is due when the store is opened. So after a kill
/// between two steps the page is due again, with its links known. Its items are cut off the output when the
/// sinks return to [`positions`](Self::positions).
///
/// A redirect has no output, so a redirected URL is settled as [`Settlement::redirected`] at once. If the crawl
/// knows the target already, the redirected URL waits in the store until the target has ended. Then
/// [`decided`](Self::decided) returns a new lease on the redirected URL. Its line in the list of aliases takes
/// a number of the sequence, and step 3 settles the lease as [`Settlement::alias`]; if the target failed, the
/// lease is settled as a failure.
///
/// # The books
///
/// `discovered = filtered + admitted` and `admitted = pages + aliases + failures + left`. The target of a
/// redirect becomes known but is not counted: its end counts as the end of the redirected URL, which was
/// counted.
///
/// The books count URLs, not fetches: each URL counts in exactly one of filtered, pages, aliases, failures and
/// left. So a page or a failure that is due again counts as *left* until it ends again. A URL that is admitted
/// and later ended by the [caps](crate::caps) of its host moves from admitted to filtered.
pub trait Frontier: Send {
    /// Admits discovered URLs. A URL that the store knows already is not admitted again, so repeating a batch
    /// is safe.
    ///
    /// A filtered URL is counted once, under the first reason. If it is discovered again later and is in scope
    /// then (at a smaller depth, for example), it is admitted, and the counts change.
    ///
    /// # Errors
    /// When the store fails. Then it holds nothing of the batch.
    fn admit(&mut self, batch: Vec<Admission>) -> Result<AdmittedCounts, FrontierError>;

    /// Returns hosts that have due records without a lease. Each host is returned once.
    ///
    /// The caller leases records of the host until a [`lease`](Self::lease) comes back *short* (fewer records
    /// than wanted, or none). From then on the store returns the host again as soon as it has due records and
    /// its caps allow more leases. After opening, the store returns all hosts with due records.
    ///
    /// First come the hosts whose last lease came back short, all of them: the caller works on them already and waits
    /// for more of their records. When it does not any more, it calls [`stop_leasing`](Self::stop_leasing). Then come
    /// at most `n` other hosts, in the order in which they have waited, the longest first.
    ///
    /// This call also ends some of the queued records of hosts that have reached their caps.
    ///
    /// # Errors
    /// When the store fails.
    fn hosts_ready(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError>;

    /// Records that the caller leases no more records of a host. If the host has due records, now or later,
    /// [`hosts_ready`](Self::hosts_ready) returns it in its turn among the other hosts.
    ///
    /// # Errors
    /// When the store fails.
    fn stop_leasing(&mut self, host: &Host) -> Result<(), FrontierError>;

    /// Returns the time at which to call [`hosts_ready`](Self::hosts_ready) next: when the next record becomes due.
    ///
    /// The time is in the past if a record has become due since the last call of `hosts_ready`, or if that call could
    /// not queue or end all the records that it had to, because it handles only a limited number at once.
    fn next_due(&self) -> Option<Timestamp>;

    /// Leases at most `n` due records of each wanted host and appends the leases to `out`, by priority (high first),
    /// then by the crawl's [`Order`](crate::Order), then by age (old first).
    ///
    /// A record has at most one lease at a time. Leases are numbered in the order of `out`. If a host gets fewer
    /// leases than wanted, it has no more due records now, except those for which [`next_due`](Self::next_due)
    /// returns a time in the past.
    ///
    /// # Errors
    /// When the store fails. Then `out` holds no lease of this call.
    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError>;

    /// Ends leases at the time `now`, and stores how far the sinks have written.
    ///
    /// A position replaces the earlier position of the same sink; the positions of other sinks stay. If the lease of
    /// a settlement has ended already, the settlement is counted as stale and has no other effect, so that a late
    /// report does no harm.
    ///
    /// # Errors
    /// When the store fails. Then the leases are still unsettled, and the positions are unchanged.
    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
        now: Timestamp,
    ) -> Result<SettledCounts, FrontierError>;

    /// Leases at most `n` redirected URLs for which it is decided how they end, because the known URL that they
    /// waited for has ended. Appends the leases to `out`; [`settle`](Self::settle) ends them. Returns true when the
    /// caller should call again at once, because one call checks only some of the waiting URLs.
    ///
    /// When only waiting URLs are left, this call decides them too: redirects that lead in a circle, and redirects to
    /// a page that the store no longer knows as a page. So a crawl that keeps making this call comes to an end.
    ///
    /// # Errors
    /// When the store fails. Then `out` holds no lease of this call.
    fn decided(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError>;

    /// Returns whether this store made the lease and the lease is not settled yet.
    fn is_out(&self, lease: LeaseId) -> bool;

    /// Returns the permit for a host. The caller checks the permit immediately before it sends a request to the host.
    fn permit(&self, host: &Host) -> Permit;

    /// Stores the memos of hosts that leave memory. A memo is the saved state of a host (`HostMemo`), as bytes that
    /// the store does not read. The new memo of a host replaces the memo stored before.
    ///
    /// # Errors
    /// When the store fails. Then it stores no memo of the batch.
    fn keep_hosts(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError>;

    /// Returns the memo of a host that was stored last, if there is one. Reading the memo does not remove it. The
    /// scheduler reads it when it starts the host.
    ///
    /// # Errors
    /// When the store fails.
    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError>;

    /// Stores bytes of the caller under a name. They replace the note that was stored under this name before.
    ///
    /// The next commit writes the note, whichever call makes that commit (at the latest
    /// [`checkpoint`](Self::checkpoint)). So a note that changes with every settlement needs no commit of its own.
    fn keep_note(&mut self, name: &'static str, note: Bytes);

    /// Returns the note that was stored under this name, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError>;

    /// Adds a text to a named list of the caller, unless the list contains the text already. The next commit writes
    /// the text, as it writes a [note](Self::keep_note).
    fn keep_listed(&mut self, list: &'static str, text: &str);

    /// Returns the texts that [`keep_listed`](Self::keep_listed) added to the list with this name, in any order. The
    /// result is empty if nothing was added.
    ///
    /// # Errors
    /// When the store fails.
    fn listed(&self, list: &'static str) -> Result<Vec<String>, FrontierError>;

    /// Returns how far each sink had written, as stored by the last settle with a position of the sink. Sorted by
    /// the names of the sinks. When a crawl is resumed, the output is cut to these positions.
    ///
    /// # Errors
    /// When the store fails.
    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError>;

    /// Returns the numbers of URLs by state. The store keeps them up to date, so this call scans nothing.
    fn stats(&self) -> FrontierStats;

    /// Returns at most `n` of the URLs that failed, in the order in which they ended, starting at index `from`
    /// (0 is the first failure).
    ///
    /// # Errors
    /// When the store fails.
    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError>;

    /// Makes at most `n` failures due again, the oldest first, and returns how many. Each of these URLs has all its
    /// attempts again. The failures leave the list of [`failures`](Self::failures), and later failures move up in it.
    ///
    /// # Errors
    /// When the store fails. Then no failure is due again.
    fn retry_failed(&mut self, n: usize) -> Result<u64, FrontierError>;

    /// Makes failures of one reason (or of any reason) due again, like [`retry_failed`](Self::retry_failed), but only
    /// those of hosts for which `may` returns true. The arguments of `may` are the host and its memo. The other
    /// failures keep their order. Returns how many failures are due again.
    ///
    /// # Errors
    /// When the store fails. Then some of the failures may be due again already.
    fn retry_failed_for(
        &mut self,
        reason: Option<Reason>,
        may: &mut MayRetry<'_>,
    ) -> Result<u64, FrontierError>;

    /// Makes at most `n` pages due again that ended before the time `before`, the oldest first. The record of each
    /// page has the validators of its last fetch. Returns how many pages are due again.
    ///
    /// # Errors
    /// [`FrontierError::NoHistory`] when the store keeps no history; or when the store fails. In both cases, no page
    /// is due again.
    fn refresh(&mut self, before: Timestamp, n: usize) -> Result<u64, FrontierError>;

    /// Writes all commits so far to the disk. When this call returns, a power cut cannot lose them any more, if the
    /// store can promise that. The caller syncs the sinks before this call.
    ///
    /// # Errors
    /// When the store fails.
    fn checkpoint(&mut self) -> Result<(), FrontierError>;
}

/// Decides whether the failures of a host may be tried again. The arguments are the host and its memo.
pub type MayRetry<'a> = dyn FnMut(&Host, Option<&[u8]>) -> bool + 'a;
