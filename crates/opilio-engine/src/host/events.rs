//! Logs the events of a host.

use opilio_core::host::HostEvent;
use opilio_core::{Host, Timestamp};
use opilio_spider::rules::RulesTable;

/// Logs an event of a host. Returns whether the event closed the host.
pub(super) fn tell(host: &Host, rules: &mut RulesTable, event: HostEvent, now: Timestamp) -> bool {
    let closes = matches!(event, HostEvent::Held { .. } | HostEvent::Parked { .. });
    match event {
        HostEvent::Held { until, reason, clamped } => {
            let wait = until.since(now);
            tracing::info!(%host, ?reason, ?wait, clamped, "the host is held: nothing is sent to it until the wait is over");
        }
        HostEvent::Opened => tracing::info!(%host, "the host is open again: requests are sent to it"),
        HostEvent::Parked { reason } => {
            tracing::warn!(%host, ?reason, "the host is parked: no request is sent to it in the rest of this run");
        }
        HostEvent::Paced { per_second } => {
            tracing::info!(%host, per_second, "the rate of requests to this host was changed")
        }
        HostEvent::Forbidden { in_a_row } => {
            tracing::warn!(%host, in_a_row, "the host answers every request with 401 or 403");
        }
        HostEvent::RulesUnavailable { scheme, outcome } => {
            let is_first = rules.start_over(scheme);
            let origin = scheme.as_str();
            if is_first {
                tracing::warn!(%host, origin, ?outcome, "robots.txt cannot be fetched: the host counts as closed");
            } else {
                tracing::debug!(%host, origin, ?outcome, "robots.txt of this host still cannot be fetched");
            }
        }
        HostEvent::CrawlDelayClamped { asked, kept } => {
            tracing::warn!(%host, ?asked, ?kept, "robots.txt asks for a longer crawl delay than the crawl allows: the longest allowed delay is kept");
        }
        other => tracing::debug!(%host, ?other, "an event of this host"),
    }
    closes
}
