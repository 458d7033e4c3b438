//! Encodes the step of a spider for a record: as JSON, with the names of its variants and fields.
//!
//! A stored step may be read by a later build of the program. The order of variants and fields may change
//! from build to build, so their names are stored and not their numbers. The state of the crawl also holds
//! one example of each *shape*: the set of names in a step. So a spider whose names have changed is refused
//! before the crawl changes anything.

mod shape;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::RequestData;
use shape::LEAF;
pub(crate) use shape::shape;

/// The reason why a step cannot be stored, or cannot be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The step has no JSON form, for instance a map whose keys are neither texts nor numbers.
    #[error("the `Step` value has no JSON form")]
    Encode(#[source] serde_json::Error),
    /// The JSON form of the step cannot be read as the spider's `Step`.
    #[error("the `Step` value {step} cannot be read")]
    Decode {
        /// The JSON form, shortened.
        step: String,
        /// The error of the decoder: it has the name in the JSON form, and the names that the spider knows.
        source: BadStep,
    },
    /// The JSON form has a field that the spider's `Step` does not read.
    #[error("the `Step` value {step} has a field that the spider's `Step` does not read: `{field}`")]
    Unread {
        /// The JSON form, shortened.
        step: String,
        /// The path of the field, from the outermost value.
        field: String,
    },
    /// The JSON form is read back as a different step: for an untagged enum, the first variant that fits is taken.
    #[error("the `Step` value {step} is read back as another value, {other}")]
    Other {
        /// The JSON form, shortened.
        step: String,
        /// The step that was read instead, shortened.
        other: String,
    },
    /// The step cannot be encoded together with the other data of its record.
    #[error("cannot encode the request's data, with its step, to keep it in the store")]
    Pack(#[source] postcard::Error),
    /// An earlier version of Opilio stored the numbers of variants and fields, and these numbers have changed.
    #[error(
        "the stored step of a request does not fit the spider's `Step`: an earlier version of Opilio stored it without the names of variants and fields"
    )]
    Placed,
}

impl StepError {
    /// Returns whether the step cannot be read only because names differ. A serde alias can then map the old name to
    /// the new one.
    #[must_use]
    pub fn is_of_names(&self) -> bool {
        match self {
            Self::Unread { .. } => true,
            Self::Decode { source, .. } => ["unknown variant", "unknown field", "missing field"]
                .iter()
                .any(|says| source.said.starts_with(says)),
            _ => false,
        }
    }
}

/// The error of serde about a stored step. Line and column are left out, since a stored step is one line.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub struct BadStep {
    said: String,
}

impl BadStep {
    fn new(error: &serde_json::Error) -> Self {
        let mut said = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        if said.ends_with(&place) {
            said.truncate(said.len() - place.len());
        }
        Self { said }
    }
}

/// Returns the form in which a step is stored.
pub fn encode<Step: Serialize>(step: &Step) -> Result<Vec<u8>, StepError> {
    let mut bytes = Vec::new();
    encode_into(step, &mut bytes)?;
    Ok(bytes)
}

/// Writes the stored form of a step into a buffer, whose content is replaced.
pub fn encode_into<Step: Serialize>(step: &Step, bytes: &mut Vec<u8>) -> Result<(), StepError> {
    bytes.clear();
    serde_json::to_writer(&mut *bytes, step).map_err(StepError::Encode)?;
    // The stored form of the step `()` is empty.
    if bytes == NULL {
        bytes.clear();
    }
    Ok(())
}

/// Decodes the step of a record.
pub fn decode<Step: DeserializeOwned>(extra: &RequestData) -> Result<Step, StepError> {
    match &extra.step[..] {
        [] => decode_named(NULL).or_else(|error| decode_placed(&[]).map_err(|_| error)),
        step if extra.placed => decode_placed(step),
        step => decode_named(step),
    }
}

fn decode_named<Step: DeserializeOwned>(bytes: &[u8]) -> Result<Step, StepError> {
    let mut unread = None;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = serde_ignored::deserialize(&mut json, |path| {
        unread.get_or_insert_with(|| path.to_string());
    });
    let step = read.and_then(|step| json.end().map(|()| step));
    match (step, unread) {
        (Ok(step), None) => Ok(step),
        (Ok(_), Some(field)) => Err(StepError::Unread { step: text(bytes), field }),
        (Err(error), _) => Err(StepError::Decode { step: text(bytes), source: BadStep::new(&error) }),
    }
}

/// Decodes a step that an earlier version wrote with postcard. If bytes are left over, another type of step
/// was written.
fn decode_placed<Step: DeserializeOwned>(bytes: &[u8]) -> Result<Step, StepError> {
    match postcard::take_from_bytes(bytes) {
        Ok((step, [])) => Ok(step),
        Ok(_) | Err(_) => Err(StepError::Placed),
    }
}

/// Checks that a step is the same after it is decoded and encoded again.
pub fn check<Step: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(), StepError> {
    let step: Step = decode(&RequestData { step: bytes.to_vec(), ..RequestData::default() })?;
    let again = encode(&step)?;
    // Sets and maps have no fixed order: their JSON may have the same characters in another order.
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    match again == bytes || sorted(&again) == sorted(bytes) {
        true => Ok(()),
        false => Err(StepError::Other { step: text(bytes), other: text(&again) }),
    }
}

/// An example of one shape of step, to be stored with the state of the crawl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// A hash of the names of variants and fields in the step.
    pub shape: u64,
    /// The step in its stored form.
    pub json: String,
}

impl Sample {
    /// Makes an example from a step and its stored form. Returns `None` if the step has no names, or is larger than
    /// `SAMPLE_MAX`.
    pub fn of<Step: Serialize>(step: &Step, bytes: &[u8]) -> Option<Self> {
        let shape = shape(step).filter(|_| !bytes.is_empty() && bytes.len() <= SAMPLE_MAX)?;
        Some(Self { shape, json: String::from_utf8(bytes.to_vec()).ok()? })
    }

    /// Makes an example from its stored JSON, which is decoded as the present `Step`.
    pub fn read<Step: Serialize + DeserializeOwned>(json: String) -> Result<Self, StepError> {
        let step: Step = decode_named(json.as_bytes())?;
        Ok(Self { shape: shape(&step).unwrap_or(LEAF), json })
    }
}

/// Returns the hash of a step in its stored form; 0 for the step `()`.
pub fn hash(bytes: &[u8]) -> u64 {
    if bytes.is_empty() { 0 } else { xxhash_rust::xxh3::xxh3_64(bytes) }
}

/// Returns a stored step as text for messages, shortened.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(if bytes.is_empty() { NULL } else { bytes });
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

const NULL: &[u8] = b"null";
/// The most characters of a step that a message shows.
const TEXT_MAX: usize = 120;
/// The most bytes of a step that is stored as an example, so that examples take little space.
const SAMPLE_MAX: usize = 4_096;
