//! A set of HTTP statuses that a user named.

use std::sync::Arc;

/// A set of HTTP statuses. It is cheap to clone, and keeps neither order nor repetitions.
///
/// ```
/// # mod opilio { pub use opilio_core as core; }
/// use opilio::core::Statuses;
///
/// let named: Statuses = [999, 403, 403].into_iter().collect();
/// assert!(named.contains(403) && !named.contains(404));
/// assert_eq!(named.iter().collect::<Vec<_>>(), [403, 999]);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Statuses(Arc<[u16]>);

impl Statuses {
    /// Whether the set contains a status.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.contains(&status)
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all statuses in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().copied()
    }
}

impl FromIterator<u16> for Statuses {
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut statuses: Vec<u16> = statuses.into_iter().collect();
        statuses.sort_unstable();
        statuses.dedup();
        Self(statuses.into())
    }
}
