//! How a record keeps a spider's step: as JSON, by the names of its variants and fields.
//!
//! A step outlives the program that made it. The places of variants and fields change from build to build, so
//! their names are kept. One step of each *shape* (the names in it) is kept with the state. So a resume with
//! other names is refused before it changes anything.

mod shape;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::RequestData;
use shape::LEAF;
pub(crate) use shape::shape;

/// A step cannot be kept, or cannot be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The step has no JSON form, for instance a map whose keys are neither texts nor numbers.
    #[error("the step has no JSON form")]
    Encode(#[source] serde_json::Error),
    /// Its JSON form cannot be read as a step.
    #[error("the step {step} cannot be read")]
    Decode {
        /// The JSON form, shortened.
        step: String,
        /// The error: the name in the JSON form, and the names that the spider knows.
        source: BadStep,
    },
    /// A field of it is not read.
    #[error("the step {step} has a field that the spider's `Step` does not read: `{field}`")]
    Unread {
        /// The JSON form, shortened.
        step: String,
        /// The path of the field.
        field: String,
    },
    /// Its JSON form is read as another step: for an untagged enum, the first variant that fits.
    #[error("the step {step} is read back as another one, {other}")]
    Other {
        /// The JSON form, shortened.
        step: String,
        /// The step that was read instead, shortened.
        other: String,
    },
    /// It cannot be packed with the other data of its record.
    #[error("the request cannot be encoded")]
    Pack(#[source] postcard::Error),
    /// An earlier version of Opilio kept it by the places of variants and fields, and these have changed.
    #[error(
        "the step was stored by an earlier version of Opilio, without the names of variants and fields, and does not fit the spider's `Step`"
    )]
    Placed,
}

impl StepError {
    /// Only the names differ. An alias in serde lets a new name stand for an old one.
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

/// The error of serde about a kept step, without line and column, since a kept step is one line.
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

/// The kept form of a step.
pub fn encode<Step: Serialize>(step: &Step) -> Result<Vec<u8>, StepError> {
    let mut bytes = Vec::new();
    encode_into(step, &mut bytes)?;
    Ok(bytes)
}

/// Writes the kept form into a buffer, in place of its content.
pub fn encode_into<Step: Serialize>(step: &Step, bytes: &mut Vec<u8>) -> Result<(), StepError> {
    bytes.clear();
    serde_json::to_writer(&mut *bytes, step).map_err(StepError::Encode)?;
    // The step `()` has no bytes.
    if bytes == NULL {
        bytes.clear();
    }
    Ok(())
}

/// The step that a record carries.
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

/// Earlier versions wrote postcard. Bytes left over belong to another type.
fn decode_placed<Step: DeserializeOwned>(bytes: &[u8]) -> Result<Step, StepError> {
    match postcard::take_from_bytes(bytes) {
        Ok((step, [])) => Ok(step),
        Ok(_) | Err(_) => Err(StepError::Placed),
    }
}

/// Whether a step is read back unchanged.
pub fn check<Step: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(), StepError> {
    let step: Step = decode(&RequestData { step: bytes.to_vec(), ..RequestData::default() })?;
    let again = encode(&step)?;
    // Sets and maps have no order: their texts may differ in the order of the same characters.
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

/// One step of a shape, for the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// A hash of the names in it.
    pub shape: u64,
    /// The kept form.
    pub json: String,
}

impl Sample {
    /// `None` for a step that has no names, or is too large to be kept twice.
    pub fn of<Step: Serialize>(step: &Step, bytes: &[u8]) -> Option<Self> {
        let shape = shape(step).filter(|_| !bytes.is_empty() && bytes.len() <= SAMPLE_MAX)?;
        Some(Self { shape, json: String::from_utf8(bytes.to_vec()).ok()? })
    }

    /// A kept step, read as the present `Step`.
    pub fn read<Step: Serialize + DeserializeOwned>(json: String) -> Result<Self, StepError> {
        let step: Step = decode_named(json.as_bytes())?;
        Ok(Self { shape: shape(&step).unwrap_or(LEAF), json })
    }
}

/// The hash of a kept step.
pub fn hash(bytes: &[u8]) -> u64 {
    if bytes.is_empty() { 0 } else { xxhash_rust::xxh3::xxh3_64(bytes) }
}

/// A kept step for messages, shortened.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(if bytes.is_empty() { NULL } else { bytes });
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

const NULL: &[u8] = b"null";
/// The most characters of a step in messages.
const TEXT_MAX: usize = 120;
/// The most bytes of a step that is kept as a sample.
const SAMPLE_MAX: usize = 4_096;
