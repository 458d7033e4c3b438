//! The log lines about a host.

use opilio_core::host::HostEvent;
use opilio_core::{Host, Timestamp};
use opilio_spider::rules::RulesTable;

/// Logs an event of a host. Returns whether the event closed the host.
pub(super) fn tell(host: &Host, rules: &mut RulesTable, event: HostEvent, now: Timestamp) -> bool {
    let closes = matches!(event, HostEvent::Held { .. } | HostEvent::Parked { .. });
    match event {
        HostEvent::Held { until, reason, clamped } => {
            let wait = until.since(now);
            tracing::info!(%host, ?reason, ?wait, clamped, "host is held");
        }
        HostEvent::Opened => tracing::info!(%host, "host is open again"),
        HostEvent::Parked { reason } => {
            tracing::warn!(%host, ?reason, "host is put aside for the rest of the run");
        }
        HostEvent::Paced { per_second } => tracing::info!(%host, per_second, "host has a new pace"),
        HostEvent::Forbidden { in_a_row } => {
            tracing::warn!(%host, in_a_row, "host answers 401 or 403 again and again");
        }
        HostEvent::RulesUnavailable { scheme, outcome } => {
            let is_first = rules.start_over(scheme);
            let origin = scheme.as_str();
            if is_first {
                tracing::warn!(%host, origin, ?outcome, "robots.txt cannot be fetched: the host counts as closed");
            } else {
                tracing::debug!(%host, origin, ?outcome, "robots.txt still cannot be fetched");
            }
        }
        HostEvent::CrawlDelayClamped { asked, kept } => {
            tracing::warn!(%host, ?asked, ?kept, "the crawl delay of robots.txt is longer than allowed");
        }
        other => tracing::debug!(%host, ?other, "host"),
    }
    closes
}
