//! Suggestions for arguments that users often write and that clap cannot parse.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Returns one line of advice for a common usage error, or `None` for any other error, which clap explains itself.
pub(crate) fn of(error: &clap::Error, args: &[String]) -> Option<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let command = args.get(1).map(String::as_str).unwrap_or_default();
    if error.kind() == ErrorKind::InvalidSubcommand {
        let text = named(ContextKind::InvalidSubcommand)?;
        let is_url = text.contains("://") || text.contains('.') || text.contains(':');
        return is_url.then(|| {
            let shown = if text.contains('@') { "URL" } else { text };
            format!(
                "{shown:?} is not a command: opilio crawl {shown} crawls from there, opilio fetch {shown} fetches it alone"
            )
        });
    }
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let flag = named(ContextKind::InvalidArg)?.split('=').next()?;
    if command == "failed" && !flag.starts_with('-') {
        return Some(format!("the directory is named by a flag: opilio failed --state {flag}"));
    }
    let (_, instead) =
        INSTEAD.iter().filter(|_| command == "crawl").find(|(names, _)| names.contains(&flag))?;
    Some(format!("there is no {flag}: {instead}"))
}

/// Flags of other tools, and the text that names the flag of Opilio with the same effect.
const INSTEAD: [(&[&str], &str); 2] = [
    (
        &["--concurrency", "--parallel", "--threads", "--workers", "--jobs", "--connections"],
        "--in-flight is how many requests are in flight at each host, --total-in-flight in all",
    ),
    (&["--insecure", "--no-check-certificate"], "--danger-accept-any-certificate trusts any TLS certificate"),
];
