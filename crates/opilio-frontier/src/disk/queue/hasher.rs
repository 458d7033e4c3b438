//! A fast hash function for keys that nobody outside the process can choose.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds the hashers for queue keys and lease numbers.
pub(super) type ByPlace = BuildHasherDefault<PlaceHasher>;

#[derive(Default)]
pub(super) struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        // A hash table uses the low bits of a hash, and the low bits of a product depend on only few bits of its
        // factors.
        self.0 ^ self.0 >> 32
    }
}
