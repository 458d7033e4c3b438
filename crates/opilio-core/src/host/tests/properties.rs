//! Arbitrary schedules never break an invariant.
