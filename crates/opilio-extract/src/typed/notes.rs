//! Adds notes about the page to an error: that the page was cut off, or that scripts probably create its content.

use super::fault::ExtractFaults;
use super::islands::looks_scripted;
use super::reader::Subject;
use crate::document::redacted;
use crate::media::Kind;

/// Adds to an error the URL of the page, and the notes that may explain the faults.
pub(super) fn explained(mut faults: ExtractFaults, subject: Subject<'_>) -> ExtractFaults {
    let document = subject.document;
    faults.at(&redacted(document.url()));
    if subject.context.is_some_and(|context| context.is_cut()) {
        faults.notes.push("the body was cut at its limit".to_owned());
    }
    if let Some(cut) = document.cut() {
        faults.notes.push(format!("the page was read only in part: {cut}"));
    }
    if document.body().is_empty() {
        faults.notes.push("the page is empty".to_owned());
    } else if document.kind() == Kind::Html && looks_scripted(document.text()) {
        faults.notes.push("the page has nearly no text: scripts seem to fill it".to_owned());
    }
    faults
}
