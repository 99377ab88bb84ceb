//! Commands that change what is set of the fleet: `drain`, `undrain`, `force-in`, `force-out`, `confirm-outage`; and
//! `overrides`, which shows it. And `reload`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fleetdns_core::text::age;
use fleetdns_core::{OverrideKind, stamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ask::ask;
use crate::args::{Daemon, Operate, OverrideArgs};
use crate::error::{CommandError, Exit};
use crate::output::{Text, show};
use fleetdns_daemon::config::{Socket, Whereabouts};
use fleetdns_daemon::control::{Confirmed, Refusal};
use fleetdns_daemon::overrides::effect::count;
use fleetdns_daemon::overrides::order::{Answer, Order};
use fleetdns_daemon::overrides::{Effect, OverrideChange};
use fleetdns_daemon::reload::Reloaded;
use fleetdns_daemon::view::OverrideLine;
use fleetdns_planner::Reason;

/// How long the daemon may take to answer: it looks at every name that is concerned.
const DEADLINE: Duration = Duration::from_secs(30);
/// Where the unit's daemon has its socket.
const SYSTEM_SOCKET: &str = "/run/fleetdns/fleetdns.sock";
/// Names that are printed one by one; of more, their number is said.
const MANY: usize = 20;

/// `fleetdns drain`, `force-in`, `force-out`; without an override `undrain`.
///
/// # Errors
/// When the daemon cannot be asked, or refuses.
pub async fn kind(args: &OverrideArgs, kind: Option<OverrideKind>) -> Result<Exit, CommandError> {
    // A part of a second counts as one.
    let seconds = args.span.map(|span| u64::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u64::MAX));
    let order = Order {
        kind,
        subjects: args.subjects.clone(),
        seconds,
        reason: args.reason.clone().unwrap_or_default(),
        anyway: args.anyway,
        yes: args.yes,
        sudo_user: std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty()),
    };
    let answer: Answer = post(&args.operate, "/v1/overrides", &order).await?;
    show(args.operate.output.output, &answer, |out| {
        answer.subjects.iter().try_for_each(|line| said(out, line))?;
        effect(out, &answer.effect)
    })?;
    Ok(Exit::Done)
}

/// `fleetdns confirm-outage`.
///
/// # Errors
/// When the daemon cannot be asked, or when it holds nothing back.
pub async fn confirm_outage(operate: &Operate) -> Result<Exit, CommandError> {
    let answer: Confirmed = post(operate, "/v1/confirm-outage", &()).await?;
    show(operate.output.output, &answer, |out| {
        writeln!(out, "Mass failure confirmed: {}. Endpoints that go on failing leave DNS.", answer.confirmed)
    })?;
    Ok(Exit::Done)
}

/// `fleetdns reload`.
///
/// # Errors
/// When the daemon cannot be asked.
pub async fn reload(operate: &Operate) -> Result<Exit, CommandError> {
    let answer: Reloaded = post(operate, "/v1/reload", &()).await?;
    show(operate.output.output, &answer, |out| reload_text(out, &answer))?;
    Ok(if answer.has_fault() { Exit::Failed } else { Exit::Done })
}

/// What became of a reload, for people.
pub(super) fn reload_text(out: &mut Text<'_>, answer: &Reloaded) -> std::io::Result<()> {
    for fault in &answer.faults {
        writeln!(out, "{fault}")?;
    }
    if !answer.faults.is_empty() {
        return writeln!(out, "nothing was taken up; the configuration that was read before stands");
    }
    for fault in &answer.source_faults {
        writeln!(out, "discovery: {fault}")?;
    }
    if answer.changes.is_empty() && answer.at_restart.is_empty() {
        return writeln!(out, "nothing has changed");
    }
    for change in &answer.changes {
        writeln!(out, "{change}")?;
    }
    answer.at_restart.iter().try_for_each(|key| writeln!(out, "{key} takes effect at the next start"))
}

/// `fleetdns overrides`.
///
/// # Errors
/// When the daemon cannot be asked.
pub async fn overrides(daemon: &Daemon) -> Result<Exit, CommandError> {
    let lines: Vec<OverrideLine> = ask(daemon, "/v1/overrides").await?;
    show(daemon.output.output, &lines, |out| {
        if lines.is_empty() {
            return writeln!(out, "nothing is drained or forced");
        }
        override_table(out, &lines)
    })?;
    Ok(Exit::Done)
}

/// What is drained and forced, for people.
pub(super) fn override_table(out: &mut Text<'_>, lines: &[OverrideLine]) -> std::io::Result<()> {
    let now = now();
    let row = |OverrideLine { entry, addresses, names }: &OverrideLine| {
        let until = entry
            .until
            .map(|until| format!("{}, in {}", stamp::seconds(until), age(until.saturating_sub(now))));
        [
            entry.subject.to_string(),
            entry.kind.to_string(),
            entry.by.clone(),
            age(now.saturating_sub(entry.since)),
            until.unwrap_or_default(),
            names.to_string(),
            addresses.to_string(),
            entry.reason.clone(),
        ]
    };
    let headings = ["SUBJECT", "OVERRIDE", "BY", "SINCE", "UNTIL", "NAMES", "ADDRESSES", "REASON"];
    out.table(headings, &["NAMES", "ADDRESSES"], lines.iter().map(row))
}

fn said(
    out: &mut dyn Write,
    OverrideChange { subject, before, after }: &OverrideChange,
) -> std::io::Result<()> {
    let before = before.as_ref().map(|entry| entry.kind);
    let Some(entry) = after else {
        return match before {
            Some(before) => writeln!(out, "{subject}: {before} is taken back"),
            None => writeln!(out, "{subject}: nothing was set before"),
        };
    };
    let until = entry.until.map(|until| format!(" until {}", stamp::seconds(until))).unwrap_or_default();
    let was = before.filter(|before| *before != entry.kind).map(|before| format!("; it was {before}"));
    writeln!(out, "{subject}: {}{until}{}", entry.kind, was.unwrap_or_default())
}

fn effect(out: &mut dyn Write, effect: &Effect) -> std::io::Result<()> {
    writeln!(out, "{} changed", count(effect.names, "name"))?;
    for Reason { name, reason } in &effect.unwritable {
        writeln!(out, "  {name}: {reason}")?;
    }
    let held: BTreeSet<&String> = effect.held.iter().map(|held| &held.name).collect();
    for name in effect.emptied.iter().filter(|name| !held.contains(name)).take(MANY) {
        writeln!(out, "  {name}: has no address any more")?;
    }
    for Reason { name, reason } in effect.held.iter().take(MANY) {
        writeln!(out, "  {name}: {reason}")?;
    }
    let more = effect.emptied.len().saturating_sub(MANY) + effect.held.len().saturating_sub(MANY);
    if more > 0 {
        writeln!(out, "  and {more} more; -o json has them all")?;
    }
    effect
        .unread
        .iter()
        .try_for_each(|zone| writeln!(out, "  {zone}: the zone has not been read yet, it follows when it is"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Sends an order to the daemon's socket.
pub(super) async fn post<B: Serialize, T: DeserializeOwned>(
    operate: &Operate,
    path: &str,
    body: &B,
) -> Result<T, CommandError> {
    let socket = socket(operate)?;
    let fail = |error: reqwest::Error| {
        CommandError::Failed(format!(
            "the daemon does not answer at {}: {}; is it running, and are you its user or root? --socket says where",
            socket.display(),
            fleetdns_daemon::chain(&error.without_url())
        ))
    };
    let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).unix_socket(socket.as_path());
    let client = client.build().map_err(fail)?;
    let answer = client.post(format!("http://localhost{path}")).json(body).send().await.map_err(fail)?;
    if answer.status().is_success() {
        return answer.json().await.map_err(fail);
    }
    let status = answer.status();
    let why = answer
        .json()
        .await
        .map_or_else(|_| format!("the daemon answers {status}"), |Refusal { error }| error);
    Err(CommandError::Failed(why))
}

/// Where the daemon takes orders: what is typed, what the config says, or the usual place.
pub(super) fn socket(operate: &Operate) -> Result<PathBuf, CommandError> {
    if let Some(path) = &operate.socket {
        return Ok(path.clone());
    }
    match Whereabouts::of(&operate.flags).socket {
        Socket::At(path) => Ok(path),
        // This shell is not the daemon's: systemd's variables are not set here.
        Socket::Usual(path) if path.exists() => Ok(path),
        Socket::Usual(_) => Ok(SYSTEM_SOCKET.into()),
        Socket::Off if Path::new(SYSTEM_SOCKET).exists() => Ok(SYSTEM_SOCKET.into()),
        Socket::Off => Err(CommandError::Failed(
            "no socket is known that takes orders: [admin] socket is off, or there is no usual place for one; \
             --socket says where"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use fleetdns_core::{Override, Subject};

    use super::*;

    #[test]
    fn an_answer_says_what_became_of_it() {
        let subject = Subject::Cluster("east".parse().unwrap());
        let entry = |kind, until| Override {
            subject: subject.clone(),
            kind,
            by: String::new(),
            reason: String::new(),
            since: 0,
            until,
        };
        let (drain, force_out) = (entry(OverrideKind::Drain, Some(0)), entry(OverrideKind::ForceOut, None));
        let mut out = Vec::new();
        for (before, after) in [
            (None, Some(drain.clone())),
            (Some(drain.clone()), Some(force_out)),
            (Some(drain), None),
            (None, None),
        ] {
            let one = OverrideChange { subject: subject.clone(), before, after };
            said(&mut out, &one).unwrap();
        }
        let held = Reason { name: "a.example.com".to_owned(), reason: "all-down: …".to_owned() };
        let emptied = (0..22).map(|n| format!("n{n}.example.com")).collect();
        effect(
            &mut out,
            &Effect { names: 1, held: vec![held], emptied, unread: vec!["z".to_owned()], unwritable: vec![] },
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(
            "cluster/east: drain until 1970-01-01T00:00:00Z\ncluster/east: force-out; it was drain\n\
             cluster/east: drain is taken back\ncluster/east: nothing was set before\n1 name changed\n"
        ));
        for part in
            ["n19.example.com: has no address", "a.example.com: all-down", "and 2 more", "z: the zone"]
        {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(!text.contains("n20.example.com"));
    }
}
