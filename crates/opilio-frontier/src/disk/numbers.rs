//! The numbers of hosts. Keys of the database contain the number of a host instead of its name, because the number is
//! shorter.

use fjall::OwnedWriteBatch;
use opilio_core::Host;
use url::Url;

use super::DiskFrontier;
use super::hosts::HostEntry;
use super::keys::{self, HostId};
use crate::error::FrontierError;

impl DiskFrontier {
    /// Returns the number of a host, if this run or an earlier one gave it a number.
    pub(super) fn find(&mut self, host: &Host) -> Result<Option<HostId>, FrontierError> {
        if let Some(id) = self.hosts.id_of(host) {
            return Ok(Some(id));
        }
        if self.hosts.all_here() {
            return Ok(None);
        }
        let stored = self.disk.stored.misc.get(keys::number_of(host.as_str()));
        let Some(stored) = stored.map_err(|error| self.disk.place.failed("read", error))? else {
            return Ok(None);
        };
        let id = stored.as_ref().try_into().map(|bytes| HostId(u32::from_be_bytes(bytes)));
        let id = id.map_err(|_| self.disk.place.damaged("the number of a host cannot be read"))?;
        self.hosts.recall(id, host.clone());
        Ok(Some(id))
    }

    /// Returns the number of a host. Gives a new host a number, which is added to `commit`.
    pub(super) fn number(
        &mut self,
        host: &Host,
        commit: &mut OwnedWriteBatch,
    ) -> Result<HostId, FrontierError> {
        if let Some(id) = self.find(host)? {
            return Ok(id);
        }
        let id = self.hosts.number(host);
        let id = id.ok_or_else(|| self.disk.place.damaged("all 2³² numbers of hosts are used"))?;
        commit.insert(&self.disk.stored.misc, keys::number_of(host.as_str()), id.0.to_be_bytes());
        commit.insert(&self.disk.stored.misc, keys::name_of(id), host.as_str());
        Ok(id)
    }

    /// Returns the state of the host with this number. Loads the host from disk if it is not in memory.
    pub(super) fn entry(&mut self, id: HostId) -> Result<&mut HostEntry, FrontierError> {
        if self.hosts.entry(id).is_none() {
            let stored = self.disk.stored.misc.get(keys::name_of(id));
            let stored = stored.map_err(|error| self.disk.place.failed("read", error))?;
            let host = stored.and_then(|name| host_of(str::from_utf8(&name).ok()?));
            let host = host
                .ok_or_else(|| self.disk.place.damaged("the name of a host is missing or cannot be read"))?;
            self.hosts.recall(id, host);
        }
        self.hosts.entry(id).ok_or_else(|| self.disk.place.damaged("the name of a host is missing"))
    }
}

/// Returns the host with this stored name, or `None` when the name is damaged.
fn host_of(name: &str) -> Option<Host> {
    Host::of(&Url::parse(&format!("http://{name}/")).ok()?).ok()
}
