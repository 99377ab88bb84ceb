//! The account that `fleetdns join` makes in a cluster, and its kubeconfig beside `dns.conf`.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use fleetdns_core::MemberName;
use fleetdns_daemon::config::Draft;
use fleetdns_watch::{Access, Account, AccountError};

use crate::args::JoinArgs;
use crate::error::CommandError;
use crate::progress::Progress;

/// What a member has to grant.
pub(super) const RBAC: &str = include_str!("../../../../config/kubernetes/member-rbac.yaml");

/// An account that is to be made.
pub(super) struct Wanted {
    account: Account,
    name: MemberName,
    /// Where its kubeconfig will be.
    file: PathBuf,
}

/// The account that is to be made: without a question by `--yes`, otherwise when a person on a terminal agrees.
///
/// # Errors
/// When its file is there already.
pub(super) fn wanted(
    args: &JoinArgs,
    draft: &Draft,
    name: &MemberName,
    access: &Access,
) -> Result<Option<Wanted>, CommandError> {
    let asks = args.kubeconfig.is_none() && !args.dry_run && is_person();
    if !args.yes && !asks {
        return Ok(None);
    }
    let account = Account::of(RBAC).map_err(|error| CommandError::failed(&error))?;
    let wanted = Wanted { account, name: name.clone(), file: file(draft, name) };
    if !args.yes && !wanted.is_agreed(access) {
        return Ok(None);
    }
    if wanted.file.exists() {
        return Err(CommandError::Failed(format!(
            "{0} is there already and is left as it is; remove it, or use it: fleetdns join {name} --kubeconfig {0}",
            wanted.file.display()
        )));
    }
    Ok(Some(wanted))
}

/// Where the kubeconfig of a cluster's account is.
fn file(draft: &Draft, name: &MemberName) -> PathBuf {
    // Names such as arn:aws:eks:eu-central-1:123456789012:cluster/web.
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let base: String = name.as_str().chars().map(plain).collect();
    draft.beside(&format!("{base}.kubeconfig"))
}

/// Says how to remove the account of a cluster that was removed from `dns.conf`.
pub(super) fn report_left(draft: &Draft, name: &MemberName) {
    let file = file(draft, name);
    if file.exists() {
        eprintln!(
            "{0} stays; where join made it, this removes it and the account: \
             fleetdns join {name} --print-rbac | kubectl --context=CONTEXT delete -f - && rm {0}",
            file.display()
        );
    }
}

/// Whether a person can be asked.
fn is_person() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

impl Wanted {
    /// How the daemon reaches the cluster with it.
    pub(super) fn access(&self) -> Access {
        Access::Kubeconfig { paths: vec![self.file.clone()], context: Some(self.name.to_string()) }
    }

    fn is_agreed(&self, access: &Access) -> bool {
        let context = match access {
            Access::Kubeconfig { context: Some(context), .. } => context,
            _ => self.name.as_str(),
        };
        eprint!(
            "With your context {context}, this can be made in the cluster, so that fleetdns has an account of its own there:\n\
             {}and {} with its token. Otherwise fleetdns uses your own kubeconfig.\nMake it? [y/N] ",
            self.account,
            self.file.display()
        );
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    /// Makes it in the cluster, and its kubeconfig.
    ///
    /// # Errors
    /// When the cluster refuses it, with what to type then, or when the file cannot be written.
    pub(super) async fn make(&self, draft: &Draft, access: &Access) -> Result<(), CommandError> {
        let progress = Progress::start("making the account", 1);
        let made =
            self.account.make(access, self.name.as_str()).await.map_err(|error| self.refused(&error))?;
        drop(progress);
        draft.make_secret(&self.file, |out| made.write(out)).map_err(|error| CommandError::failed(&error))?;
        eprintln!("account made; its kubeconfig is {}", self.file.display());
        Ok(())
    }

    fn refused(&self, error: &AccountError) -> CommandError {
        let (why, name) = (fleetdns_daemon::chain(error), &self.name);
        let remedy = match error {
            AccountError::Forbidden { .. } => format!(
                "use a context that may, such as one of a cluster-admin: fleetdns join {name} --cluster-context=CONTEXT --yes; \
                 or have an admin apply what this prints: fleetdns join {name} --print-rbac"
            ),
            AccountError::Conflict { .. } => format!(
                "see what differs: fleetdns join {name} --print-rbac | kubectl --context=CONTEXT diff -f -; \
                 apply it to have it as printed, and join again"
            ),
            _ => "nothing is changed in dns.conf".to_owned(),
        };
        CommandError::Failed(format!("{why}; {remedy}"))
    }

    /// Removes the kubeconfig again.
    pub(super) fn forget(&self) {
        // It stays beside dns.conf when it cannot be removed, and the next join names it.
        let _ = std::fs::remove_file(&self.file);
    }
}
