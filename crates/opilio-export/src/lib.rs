//! Part of Opilio.
