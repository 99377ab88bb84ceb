//! `fleetdns join` and `unjoin`: members are added to `dns.conf` and removed from it, and a running daemon follows.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use fleetdns_core::MemberName;
use fleetdns_daemon::config::{Config, Draft, Fault, Outside, Place, edit};
use fleetdns_daemon::reload::Reloaded;
use fleetdns_daemon::view::Status;
use fleetdns_watch::{Access, Origin};
use serde::Serialize;

use super::account;
use super::ask::ask;
use super::overrides::{post, reload_text, socket};
use crate::args::{Daemon, JoinArgs, Operate, UnjoinArgs};
use crate::error::{CommandError, Exit};
use crate::output::{plain, show};

/// What became of the file and of the daemon.
#[derive(Debug, Serialize)]
struct Changed {
    file: PathBuf,
    cluster: String,
    /// What is written, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<String>,
    /// What the running daemon took up.
    #[serde(skip_serializing_if = "Option::is_none")]
    reload: Option<Reloaded>,
    /// Why no daemon took it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<String>,
}

/// `fleetdns join`.
///
/// # Errors
/// When the file would have faults, or cannot be written.
pub async fn join(args: &JoinArgs) -> Result<Exit, CommandError> {
    if args.print_rbac {
        plain(account::RBAC)?;
        return Ok(Exit::Done);
    }
    args.kubefed.report();
    let flags = args.kubefed.complete(&args.operate.flags);
    let draft = Draft::of(flags.file()).map_err(|error| CommandError::failed(&error))?;
    let before = draft.text();
    let mut faults = Vec::new();
    let name = args
        .name
        .parse::<MemberName>()
        .map_err(|error| faults.push(fault("CLUSTER", &error.to_string())))
        .ok();
    let access = access(args, &mut faults);
    let section = |name: &MemberName, access: &Access| {
        let text = edit::add_member(&before, name, &keys(args, access));
        draft.check(&text, &flags).map(|config| (text, config))
    };
    let own = match &name {
        Some(name) if edit::members(&before).iter().any(|one| one == name.as_str()) => {
            let file = flags.file().display();
            faults.push(fault("CLUSTER", &format!("{name} has a section in {file} already")));
            None
        }
        Some(name) => section(name, &access).map_err(|found| faults.extend(found)).ok(),
        None => None,
    };
    let (Some(name), Some((mut text, config)), true) = (name, own, faults.is_empty()) else {
        return Err(CommandError::Config(faults));
    };
    as_meant(&config, &name, &access)?;
    if let Some(source) = discovered(&args.operate, draft.check(&before, &flags).ok(), &name).await {
        let problem = format!("cluster {name} is a member already, by {source}; remove that first");
        return Err(CommandError::Failed(problem));
    }
    if edit::members(&before).is_empty() && !config.discovers() {
        keeps_members(args, &name).await?;
    }
    let wanted = account::wanted(args, &draft, &name, &access)?;
    if let Some(wanted) = &wanted {
        let (with_account, config) = section(&name, &wanted.access()).map_err(CommandError::Config)?;
        as_meant(&config, &name, &wanted.access())?;
        text = with_account;
    }
    let section = text.strip_prefix(&before).map(|section| section.trim().to_owned());
    let changed = Changed {
        file: flags.file().to_owned(),
        cluster: name.to_string(),
        section,
        reload: None,
        daemon: None,
    };
    if args.dry_run {
        show(args.operate.output.output, &changed, |out| {
            writeln!(out, "{}", changed.section.as_deref().unwrap_or_default())
        })?;
        return Ok(Exit::Done);
    }
    if let Some(wanted) = &wanted {
        wanted.make(&draft, &access).await?;
    }
    draft.replace(&text).map_err(|error| {
        wanted.iter().for_each(account::Wanted::forget);
        CommandError::failed(&error)
    })?;
    taken_up(changed, "joined; its section is in", &args.operate).await
}

/// `fleetdns unjoin`.
///
/// # Errors
/// When there is no such section, when the file would have faults, or when it cannot be written.
pub async fn unjoin(args: &UnjoinArgs) -> Result<Exit, CommandError> {
    args.kubefed.report();
    let flags = args.kubefed.complete(&args.operate.flags);
    let draft = Draft::of(flags.file()).map_err(|error| CommandError::failed(&error))?;
    let (before, file) = (draft.text(), flags.file().display());
    let known = edit::members(&before);
    let name = args.name.parse::<MemberName>().ok();
    let text = name.as_ref().and_then(|name| edit::remove_member(&before, name));
    let Some(text) = text else {
        let source = match &name {
            Some(name) => discovered(&args.operate, draft.check(&before, &flags).ok(), name).await,
            None => None,
        };
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let name = &args.name;
        return Err(CommandError::Failed(source.map_or_else(
            || format!("no [cluster \"{name}\"] in {file}; the clusters there: {known}"),
            |source| format!("cluster {name} comes from {source}, not from {file}; remove that"),
        )));
    };
    let config = draft.check(&text, &flags);
    if edit::members(&text).is_empty() && !config.as_ref().is_ok_and(Config::discovers) {
        return Err(CommandError::Failed(format!(
            "'{}' is the last cluster in {file}: without any, all contexts of KUBECONFIG are members; \
             fleetdns drain takes its addresses out of DNS",
            args.name
        )));
    }
    config.map_err(CommandError::Config)?;
    draft.replace(&text).map_err(|error| CommandError::failed(&error))?;
    name.iter().for_each(|name| account::report_left(&draft, name));
    let changed = Changed {
        file: flags.file().to_owned(),
        cluster: args.name.clone(),
        section: None,
        reload: None,
        daemon: None,
    };
    taken_up(changed, "unjoined; its section is removed from", &args.operate).await
}

fn fault(flag: &str, problem: &str) -> Fault {
    Fault::new(&Place::whole(flag), "", "", problem)
}

/// How the member is reached: by the kubeconfig that kubectl would use, under a context that is there.
fn access(args: &JoinArgs, faults: &mut Vec<Fault>) -> Access {
    let outside = Outside::system(&|_| Ok(Vec::new()));
    let given = args.kubeconfig.as_ref().map(|path| vec![path.clone()]);
    let paths = given.unwrap_or_else(|| outside.kubeconfig());
    let paths: Vec<PathBuf> =
        paths.into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect();
    let context = args.cluster_context.clone().unwrap_or_else(|| args.name.clone());
    let list = list_of(&paths);
    if paths.is_empty() {
        faults.push(fault("--kubeconfig", "no kubeconfig is known; name one here, or set KUBECONFIG"));
    } else {
        match fleetdns_watch::contexts(&paths) {
            Err(error) => faults.push(fault("--kubeconfig", &fleetdns_daemon::chain(&error))),
            Ok(known) if !known.contains(&context) => {
                let known = known.join(", ");
                faults.push(fault(
                    "--cluster-context",
                    &format!("no context '{context}' in {list}; it has {known}"),
                ));
            }
            Ok(_) => {}
        }
    }
    Access::Kubeconfig { paths, context: Some(context) }
}

fn list_of(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}

fn keys(args: &JoinArgs, access: &Access) -> Vec<(&'static str, String)> {
    let mut keys = Vec::new();
    if let Access::Kubeconfig { paths, context } = access {
        keys.push(("kubeconfig", list_of(paths)));
        keys.extend(context.clone().map(|context| ("context", context)));
    }
    keys.extend(args.region.clone().map(|region| ("region", region)));
    keys.extend(args.zones.clone().map(|zones| ("zones", zones)));
    keys
}

/// A path with `:` in it, or a context with a blank at its end, would be read as something else.
fn as_meant(config: &Config, name: &MemberName, access: &Access) -> Result<(), CommandError> {
    let member = config.members.iter().find(|member| member.name == *name);
    if member.is_some_and(|member| member.access == *access) {
        return Ok(());
    }
    let problem = "the path or the context cannot be written into dns.conf: it has ':', a line break or blanks at its ends";
    Err(CommandError::Failed(problem.to_owned()))
}

/// What discovery found a member in: as the file says, or a running daemon, which knows the Secrets of host clusters.
async fn discovered(operate: &Operate, config: Option<Config>, name: &MemberName) -> Option<String> {
    let mut members = config.iter().flat_map(|config| &config.members);
    if let Some(member) = members.find(|one| one.name == *name) {
        return Some(member.origin.to_string()).filter(|_| member.origin != Origin::Config);
    }
    let daemon = Daemon { admin: None, flags: operate.flags.clone(), output: operate.output };
    let status = ask::<Status>(&daemon, "/v1/status").await.ok()?;
    let line = status.clusters.into_iter().find(|line| line.name == name.as_str())?;
    Some(line.source).filter(|source| !source.is_empty() && *source != Origin::Config.to_string())
}

/// The first section ends the rule that all contexts are members: a running daemon must not lose members by it.
async fn keeps_members(args: &JoinArgs, name: &MemberName) -> Result<(), CommandError> {
    let operate = &args.operate;
    let daemon = Daemon { admin: None, flags: operate.flags.clone(), output: operate.output };
    let Ok(status) = ask::<Status>(&daemon, "/v1/status").await else { return Ok(()) };
    let others =
        status.clusters.iter().map(|line| line.name.as_str()).filter(|other| *other != name.as_str());
    let others = others.collect::<Vec<_>>().join(", ");
    if others.is_empty() {
        return Ok(());
    }
    Err(CommandError::Failed(format!(
        "{} has no [cluster] section, so the running daemon takes its members from its KUBECONFIG, and a first section \
         would remove {others}; write sections for them into the file first",
        operate.flags.file().display()
    )))
}

/// Makes a running daemon take up the file, and says what it did.
async fn taken_up(mut changed: Changed, done: &str, operate: &Operate) -> Result<Exit, CommandError> {
    match reached(operate) {
        Ok(()) => match post(operate, "/v1/reload", &()).await {
            Ok(reloaded) => changed.reload = Some(reloaded),
            Err(error) => changed.daemon = Some(by_itself(&error)),
        },
        Err(why) => changed.daemon = Some(why),
    }
    show(operate.output.output, &changed, |out| {
        writeln!(out, "cluster {} {done} {}", changed.cluster, changed.file.display())?;
        if let Some(why) = &changed.daemon {
            writeln!(out, "{why}")?;
        }
        changed.reload.iter().try_for_each(|reload| reload_text(out, reload))
    })?;
    let faulty = changed.reload.is_some_and(|reload| reload.has_fault());
    Ok(if faulty { Exit::Failed } else { Exit::Done })
}

/// Whether a daemon takes orders here; otherwise why not.
fn reached(operate: &Operate) -> Result<(), String> {
    let path = socket(operate).map_err(|error| error.to_string())?;
    match UnixStream::connect(&path) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            Err(format!(
                "no daemon runs here: nothing listens at {}; the change takes effect when one starts",
                path.display()
            ))
        }
        Err(error) => Err(by_itself(&format!("the daemon cannot be asked at {}: {error}", path.display()))),
    }
}

fn by_itself(why: &dyn std::fmt::Display) -> String {
    format!("{why}; a running daemon takes up the file by itself within a few seconds")
}
