//! The state of a host that sleeps, as bytes. A host sleeps while it only waits for a time to come: nothing of it is in
//! flight, and it has asked for no slot. As bytes, its state takes a quarter of the memory.
//!
//! Unlike a memo (`HostMemo`), the bytes hold the whole state with its leases, so that a host which has slept decides
//! everything as if it had been awake. They never leave the process, so their form may change at any time.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::blame::Evidence;
use super::contact::Contact;
use super::demand::{Demand, SlotRequest};
use super::hold::Hold;
use super::idleness::Idleness;
use super::leases::LeaseTable;
use super::memo::Park;
use super::pacing::Pacing;
use super::rules::HostRules;
use super::settings::{HostLimits, Terms};
use super::state::HostState;
use crate::canonical::Fingerprint;
use crate::name::{Host, Scheme};
use crate::policy::HostPolicy;
use crate::record::{Attempts, Lease, LeaseId, Priority, Record, RecordKind, Score};
use crate::time::Timestamp;
use crate::validators::Validators;

/// The parts of a host's state that its settings do not give, and that are not empty while the host sleeps.
#[derive(Serialize, Deserialize)]
struct Asleep<'a> {
    random: u64,
    pacing: Cow<'a, Pacing>,
    hold: Hold,
    parked: Option<Park>,
    rules: HostRules,
    leases: Cow<'a, LeaseTable>,
    evidence: Cow<'a, Evidence>,
    contact: Contact,
    demand: Demand,
    idleness: Idleness,
}

impl HostState {
    /// Returns the time until which the host may sleep: until then it does nothing unless an input comes. `None` if
    /// a request of it is in flight, it waits for a slot, it drains, or it has not been polled since its last input.
    #[must_use]
    pub fn may_sleep_until(&self) -> Option<Timestamp> {
        let is_still = self.is_polled
            && !self.draining
            && self.outbox.is_empty()
            && self.in_flight() == 0
            && self.demand.slot == SlotRequest::None;
        self.wake_at().filter(|_| is_still).map(|(at, _)| at)
    }

    /// Returns the state as bytes, while the host [may sleep](Self::may_sleep_until).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { pacing, hold, parked, rules, leases, evidence, contact, demand, idleness, .. } = self;
        let asleep = Asleep {
            random: self.random.get_seed(),
            pacing: Cow::Borrowed(pacing),
            hold: *hold,
            parked: *parked,
            rules: *rules,
            leases: Cow::Borrowed(leases),
            evidence: Cow::Borrowed(evidence),
            contact: *contact,
            demand: *demand,
            idleness: *idleness,
        };
        postcard::to_stdvec(&asleep).expect("each part of a state has a length that is known in advance")
    }

    /// Restores a state from its bytes and the settings with which it was made.
    ///
    /// # Panics
    /// If this process did not make the bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], policy: impl Into<Arc<HostPolicy>>, limits: HostLimits) -> Self {
        let asleep: Asleep<'_> =
            postcard::from_bytes(bytes).expect("this process wrote the bytes of this state");
        let Asleep { random, pacing, hold, parked, rules, leases, evidence, contact, demand, idleness } =
            asleep;
        Self {
            terms: Terms { policy: policy.into(), limits },
            random: fastrand::Rng::with_seed(random),
            pacing: pacing.into_owned(),
            hold,
            parked,
            rules,
            leases: leases.into_owned(),
            evidence: evidence.into_owned(),
            contact,
            demand,
            idleness,
            draining: false,
            outbox: Default::default(),
            is_polled: true,
            #[cfg(feature = "sabotage")]
            bug: None,
        }
    }
}

/// The form of a record in the bytes.
#[derive(Serialize, Deserialize)]
struct RecordForm<'a> {
    url: &'a str,
    fingerprint: Fingerprint,
    host: &'a str,
    scheme: Scheme,
    depth: u16,
    priority: Priority,
    score: Score,
    attempts: Attempts,
    kind: RecordKind,
    validators: Option<ValidatorsForm<'a>>,
    extra: &'a [u8],
}

/// The entity tag, the time of the last modification, and the hash of the body.
type ValidatorsForm<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<u64>);

impl<'a> From<&'a Record> for RecordForm<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { url, fingerprint, host, scheme, depth, priority, score, .. } = record;
        let form = |of: &'a Arc<Validators>| (of.etag.as_deref(), of.last_modified.as_deref(), of.body_hash);
        Self {
            url,
            fingerprint: *fingerprint,
            host: host.as_str(),
            scheme: *scheme,
            depth: *depth,
            priority: *priority,
            score: *score,
            attempts: record.attempts,
            kind: record.kind,
            validators: record.validators.as_ref().map(form),
            extra: &record.extra,
        }
    }
}

impl From<RecordForm<'_>> for Record {
    fn from(form: RecordForm<'_>) -> Self {
        let RecordForm { url, fingerprint, host, scheme, depth, priority, score, .. } = form;
        let validators = form.validators.map(|(etag, last_modified, body_hash)| {
            let bytes = |field: Option<&[u8]>| field.map(Bytes::copy_from_slice);
            Arc::new(Validators { etag: bytes(etag), last_modified: bytes(last_modified), body_hash })
        });
        Self {
            url: url.into(),
            fingerprint,
            host: Host::of_canonical(host),
            scheme,
            depth,
            priority,
            score,
            attempts: form.attempts,
            kind: form.kind,
            validators,
            extra: Bytes::copy_from_slice(form.extra),
        }
    }
}

/// Encodes a lease, for serde.
pub(super) mod lease_form {
    use super::*;

    pub(in crate::host) fn serialize<S: Serializer>(lease: &Lease, to: S) -> Result<S::Ok, S::Error> {
        (lease.id, RecordForm::from(&lease.record)).serialize(to)
    }

    pub(in crate::host) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Lease, D::Error> {
        let (id, record) = <(LeaseId, RecordForm<'a>)>::deserialize(from)?;
        Ok(Lease { id, record: record.into() })
    }
}

/// Encodes a record that there may be, for serde.
pub(super) mod record_form {
    use super::*;

    pub(in crate::host) fn serialize<S: Serializer>(
        record: &Option<Box<Record>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        record.as_deref().map(RecordForm::from).serialize(to)
    }

    pub(in crate::host) fn deserialize<'a, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Option<Box<Record>>, D::Error> {
        Ok(Option::<RecordForm<'a>>::deserialize(from)?.map(|form| Box::new(form.into())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The other parts of a state are compared wherever a test runs a host: see `sleep_and_wake` in `tests/rig.rs`.
    #[test]
    fn a_record_is_the_same_after_a_sleep() {
        let url = url::Url::parse("https://a.example:8080/x?y").unwrap();
        let validators = Validators {
            etag: Some("\"v7\"".into()),
            last_modified: Some("then".into()),
            body_hash: Some(7),
        };
        let record = Record {
            depth: 3,
            priority: Priority(-4),
            score: Score::of(0.5),
            attempts: Attempts { requests: 5, excused: 2 },
            kind: RecordKind::Continuation,
            validators: Some(Arc::new(validators)),
            extra: Bytes::from_static(b"\x01\x02"),
            ..Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::Https)
        };
        let bytes = postcard::to_stdvec(&RecordForm::from(&record)).unwrap();
        let form: RecordForm<'_> = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(Record::from(form), record);
    }
}
