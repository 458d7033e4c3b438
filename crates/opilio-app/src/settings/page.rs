//! Writes `docs/opilio.toml` from the table of settings.

use std::fmt::Write;

use super::row::{FileKey, Section, Shown};
use super::table;

/// Returns the documentation of `opilio.toml`: a valid settings file that shows each key with its default.
#[must_use]
pub fn page() -> String {
    let settings = table::all();
    let keys: Vec<&FileKey> = settings.iter().filter_map(|setting| setting.names.key.as_ref()).collect();
    let of = |part: Section| keys.iter().filter(move |key| key.part() == part);
    let mut text = HEAD.to_owned();
    text += "\n[crawl]\n";
    of(Section::Crawl).for_each(|key| line(&mut text, key));
    text += "\n[default]                   # every host\n";
    of(Section::Hosts).for_each(|key| line(&mut text, key));
    text += ONE_HOST;
    of(Section::OneHost).for_each(|key| line(&mut text, key));
    text + BELOW
}

/// Writes the line of one key. If the value is only an example, the line is commented out.
fn line(text: &mut String, key: &FileKey) {
    let mark = if matches!(key.shown, Shown::Example(_)) { "# " } else { "" };
    let setting = format!("{mark}{} = {}", key.name, key.shown.toml());
    let note = if key.note.is_empty() { String::new() } else { format!(" # {}", key.note) };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", format!("{setting:27}{note}").trim_end());
}

const HEAD: &str = "\
# Settings of `opilio crawl`, read from ./opilio.toml or from the file that --config names. Every key may be left out.
# Each key below has its default or an example as its value. Flags and the environment take precedence over [crawl] and
# [default]; a [host.\"…\"] section is more exact, and takes precedence over flags.
#
# Times are written as 500ms, 30s, 5m, 1h or 2d; sizes as 500KB or 10MiB; rates as 2/s, 60/m or 1000/h.
# `cargo xtask settings` writes this file from the table of settings.
";

const ONE_HOST: &str = "
[host.\"api.example.com\"]    # one host, or host:port; all keys of [default], and these
rate = \"1000/h\"
in_flight = 8
";

const BELOW: &str = "
[host.\"*.example.org\"]      # all below a domain
adapt = false
slow_down = [403, 999]
";
