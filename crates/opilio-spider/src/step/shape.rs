//! Computes the shape of a step: a hash of the names of its variants and fields. A serializer without
//! output computes it.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::ser::{self, Serialize};

/// Returns the hash of the names of variants and fields in a step. Values do not change the hash. Returns `None` if
/// the step has no names.
pub(crate) fn shape<Step: Serialize>(step: &Step) -> Option<u64> {
    step.serialize(Shape).ok().filter(|shape| *shape != LEAF)
}

fn mix(hash: u64, more: u64) -> u64 {
    (hash.rotate_left(5) ^ more).wrapping_mul(0x517c_c1b7_2722_0a95)
}

fn named(hash: u64, name: &str) -> u64 {
    name.bytes().fold(mix(hash, name.len() as u64), |hash, byte| mix(hash, u64::from(byte)))
}

/// A serializer whose result is the shape of the value.
#[derive(Clone, Copy)]
struct Shape;

/// The step's own `Serialize` failed. The code that encodes the step has already reported this.
#[derive(Debug, thiserror::Error)]
#[error("the `Step` value cannot be serialized")]
struct NoShape;

impl ser::Error for NoShape {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

/// Collects the shape of a list or map: the shapes of its elements, each once.
#[derive(Default)]
struct Several(BTreeSet<u64>);

impl Several {
    fn add<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), NoShape> {
        let shape = value.serialize(Shape)?;
        if shape != LEAF {
            self.0.insert(shape);
        }
        Ok(())
    }

    fn shape(self) -> u64 {
        self.0.into_iter().fold(LEAF, mix)
    }
}

/// Collects the shape of a tuple, struct or variant: the shapes of its parts, in order.
struct Ordered(u64);

impl Ordered {
    fn add<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), NoShape> {
        self.0 = mix(named(self.0, name), value.serialize(Shape)?);
        Ok(())
    }
}

macro_rules! leaves {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<u64, NoShape> { Ok(LEAF) })*
    };
}

impl ser::Serializer for Shape {
    type Ok = u64;
    type Error = NoShape;
    type SerializeSeq = Several;
    type SerializeTuple = Several;
    type SerializeTupleStruct = Several;
    type SerializeTupleVariant = Ordered;
    type SerializeMap = Several;
    type SerializeStruct = Ordered;
    type SerializeStructVariant = Ordered;

    leaves! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_f32: f32, serialize_f64: f64, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_none(self) -> Result<u64, NoShape> {
        Ok(LEAF)
    }
    fn serialize_unit(self) -> Result<u64, NoShape> {
        Ok(LEAF)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<u64, NoShape> {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<u64, NoShape> {
        value.serialize(self)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<u64, NoShape> {
        Ok(named(VARIANT, variant))
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, NoShape> {
        Ok(mix(named(VARIANT, variant), value.serialize(self)?))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Several, NoShape> {
        Ok(Several::default())
    }
    fn serialize_tuple(self, _: usize) -> Result<Several, NoShape> {
        Ok(Several::default())
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Several, NoShape> {
        Ok(Several::default())
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Ordered, NoShape> {
        Ok(Ordered(named(VARIANT, variant)))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Several, NoShape> {
        Ok(Several::default())
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Ordered, NoShape> {
        Ok(Ordered(STRUCT))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Ordered, NoShape> {
        Ok(Ordered(named(VARIANT, variant)))
    }
    fn collect_str<T: ?Sized + Display>(self, _: &T) -> Result<u64, NoShape> {
        Ok(LEAF)
    }
}

macro_rules! several {
    ($($trait:ident: $method:ident),*) => {
        $(impl ser::$trait for Several {
            type Ok = u64;
            type Error = NoShape;
            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), NoShape> {
                self.add(value)
            }
            fn end(self) -> Result<u64, NoShape> {
                Ok(self.shape())
            }
        })*
    };
}

several!(SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field);

impl ser::SerializeMap for Several {
    type Ok = u64;
    type Error = NoShape;
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), NoShape> {
        self.add(key)
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), NoShape> {
        self.add(value)
    }
    fn end(self) -> Result<u64, NoShape> {
        Ok(self.shape())
    }
}

impl ser::SerializeTupleVariant for Ordered {
    type Ok = u64;
    type Error = NoShape;
    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), NoShape> {
        self.add("", value)
    }
    fn end(self) -> Result<u64, NoShape> {
        Ok(self.0)
    }
}

macro_rules! fields {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Ordered {
            type Ok = u64;
            type Error = NoShape;
            fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), NoShape> {
                self.add(name, value)
            }
            fn end(self) -> Result<u64, NoShape> {
                Ok(self.0)
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

/// The shape of a value that contains no names.
pub(super) const LEAF: u64 = 0;
const VARIANT: u64 = 1;
const STRUCT: u64 = 2;
