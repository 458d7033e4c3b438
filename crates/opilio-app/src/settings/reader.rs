//! Kinds of values: how a value of each kind is written in a flag or variable, and in `opilio.toml`.

use std::fmt::Display;
use std::marker::PhantomData;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, EnumValueParser, RangedU64ValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, ValueEnum};
use http::HeaderMap;
use opilio_core::Statuses;
use opilio_fetch::AddressPolicy;
use toml::de::DeValue;

use crate::unit;

/// Reads the value of a setting from any source.
///
/// The errors do not name the setting: the caller adds its name.
pub(crate) trait ValueReader: 'static {
    /// The type of the value.
    type Value: Clone + 'static;

    /// Adds the properties of the value to a flag: its name in the help, its check, and whether the flag may be
    /// repeated.
    fn arg(&self, arg: Arg) -> Arg;

    /// Reads the value of the flag or of its environment variable. Returns `None` if neither is set.
    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<Self::Value>, String>;

    /// Reads the value in the settings file.
    fn written(&self, value: &DeValue<'_>) -> Result<Self::Value, Wrong>;

    /// Returns a sample value as the flag's argument (`None` if the flag takes no value), and a sample value as in
    /// the file.
    fn sample(&self) -> (Option<&'static str>, &'static str);
}

/// An error about a value in the settings file, with its place.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The index of the byte at which the error is. `None` if this is the first byte of the value.
    pub(crate) at: Option<usize>,
    pub(crate) what: String,
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self { at: None, what }
    }
}

impl From<&str> for Wrong {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}

/// Reads a value that is written as one text, such as a time, a size or a rate.
pub(crate) struct Text<V> {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&str) -> Result<V, String>,
    /// A sample value as in the settings file, which is in quotes.
    pub(crate) sample: &'static str,
}

impl<V: Clone + Send + Sync + 'static> ValueReader for Text<V> {
    type Value = V;

    fn arg(&self, arg: Arg) -> Arg {
        arg.value_name(self.name).value_parser(ValueParser::new(self.read))
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<V>, String> {
        Ok(matches.get_one(flag).cloned())
    }

    fn written(&self, value: &DeValue<'_>) -> Result<V, Wrong> {
        Ok((self.read)(value.as_str().ok_or("this is a text in quotes")?)?)
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some(self.sample.trim_matches('"')), self.sample)
    }
}

/// Reads a value that consists of several texts: a flag that may be repeated, or a list in the file.
///
/// If the flag is given, its texts replace the list in the file.
pub(crate) struct Texts<V> {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&str) -> Result<V, String>,
    /// If true, the value may be a secret. Clap does not check such a value, because its error would print a wrong one.
    pub(crate) is_secret: bool,
    pub(crate) sample: &'static str,
}

impl<V: Clone + Send + Sync + 'static> ValueReader for Texts<V> {
    type Value = Vec<V>;

    fn arg(&self, arg: Arg) -> Arg {
        let parser = if self.is_secret { ValueParser::string() } else { ValueParser::new(self.read) };
        arg.value_name(self.name).action(ArgAction::Append).value_parser(parser)
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<Vec<V>>, String> {
        if self.is_secret {
            let texts = matches.get_many::<String>(flag);
            return texts.map(|texts| texts.map(|text| (self.read)(text)).collect()).transpose();
        }
        Ok(matches.get_many(flag).map(|values| values.cloned().collect()))
    }

    fn written(&self, value: &DeValue<'_>) -> Result<Vec<V>, Wrong> {
        Ok(texts(value)?.into_iter().map(self.read).collect::<Result<_, _>>()?)
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some(self.sample.trim_matches('"')), self.sample)
    }
}

/// Returns the texts of a list, or a single text as a list of one.
fn texts<'v>(value: &'v DeValue<'_>) -> Result<Vec<&'v str>, String> {
    let texts = match value {
        DeValue::String(text) => Some(vec![&**text]),
        DeValue::Array(values) => values.iter().map(|value| value.get_ref().as_str()).collect(),
        _ => None,
    };
    texts.ok_or_else(|| "this is a list of texts in quotes".to_owned())
}

/// Reads a whole number from `min` to `max`.
pub(crate) struct Whole<T> {
    min: u64,
    /// The largest allowed number, or `None` for the largest number of the type.
    max: Option<u64>,
    of: PhantomData<fn() -> T>,
}

impl<T> Whole<T> {
    pub(crate) fn from(min: u64) -> Self {
        Self { min, max: None, of: PhantomData }
    }

    pub(crate) fn up_to(self, max: u32) -> Self {
        Self { max: Some(max.into()), ..self }
    }
}

/// An unsigned integer type.
pub(crate) trait Number: TryFrom<u64> + Display + Copy + Send + Sync + 'static {
    const MAX: u64;
}

impl Number for u16 {
    const MAX: u64 = u16::MAX as u64;
}

impl Number for u32 {
    const MAX: u64 = u32::MAX as u64;
}

impl Number for u64 {
    const MAX: u64 = u64::MAX;
}

impl<T: Number> ValueReader for Whole<T> {
    type Value = T;

    fn arg(&self, arg: Arg) -> Arg {
        let parser = RangedU64ValueParser::<u64>::new();
        let parser = match self.max.or((T::MAX < u64::MAX).then_some(T::MAX)) {
            Some(max) => parser.range(self.min..=max),
            None => parser.range(self.min..),
        };
        arg.value_name("N").value_parser(parser)
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<T>, String> {
        // The conversion cannot fail, since clap has checked the range.
        Ok(matches.get_one::<u64>(flag).and_then(|number| T::try_from(*number).ok()))
    }

    fn written(&self, value: &DeValue<'_>) -> Result<T, Wrong> {
        let (min, max) = (self.min, self.max.unwrap_or(T::MAX));
        value
            .as_integer()
            .and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .filter(|number| (min..=max).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("this is a number from {min} to {max}").into())
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some("3"), "3")
    }
}

/// Reads yes or no. The flag takes no value, but its environment variable takes one.
pub(crate) struct Switch {
    /// The value that the flag sets: true, or false for a flag such as `--no-…`.
    flag_says: bool,
}

/// Reads a flag that sets the value to true.
pub(crate) const ON: Switch = Switch { flag_says: true };
/// Reads a flag that sets the value to false.
pub(crate) const OFF: Switch = Switch { flag_says: false };

impl ValueReader for Switch {
    type Value = bool;

    fn arg(&self, arg: Arg) -> Arg {
        arg.action(ArgAction::SetTrue).value_parser(BoolishValueParser::new())
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<bool>, String> {
        let is_said = matches.value_source(flag).is_some_and(|source| source != ValueSource::DefaultValue);
        Ok(is_said.then(|| matches.get_flag(flag) == self.flag_says))
    }

    fn written(&self, value: &DeValue<'_>) -> Result<bool, Wrong> {
        value.as_bool().ok_or_else(|| "this is true or false".into())
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (None, "true")
    }
}

/// Reads how often a flag is given: 2 for `-vv`.
pub(crate) struct Times;

impl ValueReader for Times {
    type Value = u8;

    fn arg(&self, arg: Arg) -> Arg {
        arg.action(ArgAction::Count)
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<u8>, String> {
        Ok(Some(matches.get_count(flag)).filter(|times| *times > 0))
    }

    fn written(&self, _: &DeValue<'_>) -> Result<u8, Wrong> {
        Err("this is a flag alone".into())
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (None, "0")
    }
}

/// Reads a word out of a fixed list, such as `bfs` or `dfs`.
pub(crate) struct Choice<E> {
    name: &'static str,
    sample: &'static str,
    of: PhantomData<fn() -> E>,
}

impl<E> Choice<E> {
    pub(crate) fn new(name: &'static str, sample: &'static str) -> Self {
        Self { name, sample, of: PhantomData }
    }
}

impl<E: ValueEnum + Clone + Send + Sync + 'static> ValueReader for Choice<E> {
    type Value = E;

    fn arg(&self, arg: Arg) -> Arg {
        arg.value_name(self.name).value_parser(EnumValueParser::<E>::new())
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<E>, String> {
        Ok(matches.get_one(flag).cloned())
    }

    fn written(&self, value: &DeValue<'_>) -> Result<E, Wrong> {
        let text = value.as_str().ok_or("this is a text in quotes")?;
        E::from_str(text, false).map_err(|_| {
            let words = E::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            let words: Vec<_> = words.map(|word| word.get_name().to_owned()).collect();
            format!("{text:?} is none of {}", words.join(", ")).into()
        })
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some(self.sample.trim_matches('"')), self.sample)
    }
}

/// Reads the path of a file or a directory. Only flags and variables have such values, not the settings file.
pub(crate) struct PathValue(pub(crate) &'static str);

impl ValueReader for PathValue {
    type Value = PathBuf;

    fn arg(&self, arg: Arg) -> Arg {
        arg.value_name(self.0).value_parser(ValueParser::path_buf())
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<PathBuf>, String> {
        Ok(matches.get_one(flag).cloned())
    }

    fn written(&self, value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
        Ok(value.as_str().ok_or("this is a text in quotes")?.into())
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some("sample"), "\"sample\"")
    }
}

/// Reads statuses of answers: `403,999` in a flag, or `[403, 999]` in the file.
pub(crate) struct StatusList;

impl ValueReader for StatusList {
    type Value = Statuses;

    fn arg(&self, arg: Arg) -> Arg {
        let arg = arg.value_name("STATUS,…").action(ArgAction::Append).value_delimiter(',');
        arg.value_parser(ValueParser::new(unit::status))
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<Statuses>, String> {
        Ok(matches.get_many::<u16>(flag).map(|statuses| statuses.copied().collect()))
    }

    fn written(&self, value: &DeValue<'_>) -> Result<Statuses, Wrong> {
        let refuse = || "this is a list of statuses, such as [403, 999]".to_owned();
        let statuses = value.as_array().ok_or_else(refuse)?.iter().map(|value| {
            let digits = value.get_ref().as_integer().filter(|digits| digits.radix() == 10);
            unit::status(digits.ok_or_else(refuse)?.as_str())
        });
        Ok(statuses.collect::<Result<_, String>>()?)
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some("403,999"), "[403, 999]")
    }
}

/// Reads which addresses may be connected to: the given networks, all, or only public addresses.
pub(crate) struct Networks;

impl ValueReader for Networks {
    type Value = AddressPolicy;

    fn arg(&self, arg: Arg) -> Arg {
        let arg = arg.value_name("CIDR,…").num_args(0..=1).require_equals(true).default_missing_value("all");
        arg.value_parser(ValueParser::new(networks))
    }

    fn said(&self, flag: &str, matches: &ArgMatches) -> Result<Option<AddressPolicy>, String> {
        Ok(matches.get_one(flag).cloned())
    }

    fn written(&self, value: &DeValue<'_>) -> Result<AddressPolicy, Wrong> {
        match value {
            DeValue::Boolean(true) => Ok(AddressPolicy::allow_all()),
            DeValue::Boolean(false) => Ok(AddressPolicy::public()),
            _ => Ok(AddressPolicy::allow(texts(value)?).map_err(|error| error.to_string())?),
        }
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (Some("127.0.0.0/8"), "[\"127.0.0.0/8\"]")
    }
}

/// Reads `all`, or a list of networks such as `10.0.0.0/8`.
fn networks(text: &str) -> Result<AddressPolicy, String> {
    match text.trim() {
        "all" => Ok(AddressPolicy::allow_all()),
        networks => AddressPolicy::allow(networks.split(',')).map_err(|error| error.to_string()),
    }
}

/// Reads header fields of one host, by name. They can be set only in the file. No message shows their values.
pub(crate) struct HeaderTable;

impl ValueReader for HeaderTable {
    type Value = HeaderMap;

    fn arg(&self, arg: Arg) -> Arg {
        arg
    }

    fn said(&self, _: &str, _: &ArgMatches) -> Result<Option<HeaderMap>, String> {
        Ok(None)
    }

    fn written(&self, value: &DeValue<'_>) -> Result<HeaderMap, Wrong> {
        let mut headers = HeaderMap::new();
        for (name, value) in value.as_table().ok_or("this is a table of keys")? {
            let wrong = |what: String| Wrong { at: Some(name.span().start), what };
            let name = name.get_ref();
            let text = value.get_ref().as_str();
            let text = text.ok_or_else(|| wrong(format!("{name}: this is a text in quotes")))?;
            let (name, value) =
                opilio_engine::header(name, text).map_err(|error| wrong(error.to_string()))?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    fn sample(&self) -> (Option<&'static str>, &'static str) {
        (None, "{ \"X-Api-Key\" = \"secret\" }")
    }
}
