//! Opilio: crawlers that are fast, and polite by construction.
