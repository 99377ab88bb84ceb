//! Requests of operators: what they ask for, whether it can be done, and the answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_core::overrides::BadOverride;
use fleetdns_core::text::printable;
use fleetdns_core::{Brakes, MemberName, OverrideKind, SelfCheckFailure, Snapshot, Subject};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use tracing::info;

use super::clock::Clock;
use super::effect::{Effect, Scene, count, services};
use super::request::{OverrideChange, OverrideError, OverrideRequest};
use super::sender::OverrideSender;
use crate::config::Config;
use crate::view::View;
use crate::zone::ZoneStatus;

/// A reason stands in the ownership records, which some backends keep short.
const LONGEST_REASON: usize = 200;
/// Who wants more wants it until it is taken back.
const LONGEST_SPAN: Duration = Duration::from_secs(366 * 86_400);

/// `POST /v1/overrides`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What to set; nothing takes back what was set.
    #[serde(deserialize_with = "Option::deserialize")]
    pub kind: Option<OverrideKind>,
    /// What it is about, as a subject is written; or the bare name of a cluster.
    pub subjects: Vec<String>,
    /// For how many seconds [default: until `undrain`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Also when nobody knows the subject, or when it would not outlive a restart.
    #[serde(default)]
    pub anyway: bool,
    /// Also when a name loses its last address.
    #[serde(default)]
    pub yes: bool,
    /// Who asked for the rights of the caller, as sudo says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
}

/// The answer: it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What became of each subject.
    pub subjects: Vec<OverrideChange>,
    /// What happens to the zones.
    #[serde(flatten)]
    pub effect: Effect,
}

/// Why an order is not carried out. Nothing has changed then.
#[derive(Debug, Error)]
pub enum OrderError {
    /// A part of it cannot be understood.
    #[error(transparent)]
    Bad(#[from] BadOverride),
    /// It is about nothing.
    #[error("no subject is given, such as cluster/NAME")]
    NoSubject,
    /// A cluster has a name that reads like something else.
    #[error("'{0}' is also the name of a cluster; write cluster/{0} for that")]
    Ambiguous(String),
    /// No cluster has this name, and nothing else is written so.
    #[error(
        "no cluster '{name}'; the config has {known}. Other subjects are service/NAMESPACE/NAME, service/NAMESPACE/NAME@CLUSTER and address/ADDRESS"
    )]
    NoCluster {
        /// The name.
        name: String,
        /// The clusters that there are.
        known: String,
    },
    /// Nobody has it.
    #[error("unknown subject {subject}: {why}; pass --anyway to set it anyway")]
    Unknown {
        /// What.
        subject: Subject,
        /// Where it was looked for.
        why: String,
    },
    /// The reason cannot stand in an ownership record.
    #[error("the reason has {0} characters, and {LONGEST_REASON} are possible")]
    LongReason(usize),
    /// The time cannot be.
    #[error("it can last from 1 second to 366 days, or without --for until it is taken back")]
    Span,
    /// A name would lose its last address.
    #[error("{} would have no address any more: {}; {}", count(.names.len(), "name"), .names.join(", "), needed(*.yes, *.anyway))]
    Empties {
        /// Which ones.
        names: Vec<String>,
        /// Whether the order has to say that this is meant.
        yes: bool,
        /// Whether the order has to say that it need not outlive a restart.
        anyway: bool,
    },
    /// It cannot be kept.
    #[error(transparent)]
    Say(#[from] OverrideError),
    /// Nothing is held that could be confirmed.
    #[error("no correlation is in force: there is no held removal to confirm")]
    NoCorrelation,
}

fn needed(yes: bool, anyway: bool) -> String {
    let kept = "without [fleet] state-dir a restart forgets it, since no record is left to keep it";
    match (yes, anyway) {
        (true, true) => format!("--yes if this is meant; and {kept}: --anyway too, or set state-dir"),
        (false, true) => format!("{kept}: --anyway if that may be, or set state-dir"),
        _ => "--yes if this is meant".to_owned(),
    }
}

/// Takes orders.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The fleet as it is.
    pub view: View,
    /// Who carries them out.
    pub overrides: OverrideSender,
    /// Members that the config names.
    pub configured: BTreeSet<MemberName>,
    /// What every plan has to pass.
    pub brakes: Brakes,
    /// Whether there is a state directory.
    pub keeps: bool,
    /// What the prober listens to: whenever it changes, an operator has confirmed a correlation.
    pub confirm_outage: watch::Sender<u64>,
}

impl Operator {
    /// Goes by another configuration from now on.
    pub(crate) fn configure(&mut self, config: &Config, zones: Vec<watch::Receiver<ZoneStatus>>) {
        let before = std::mem::take(&mut self.configured);
        self.configured = config.members.iter().map(|member| member.name.clone()).collect();
        self.view.follow_members(&before, &self.configured);
        self.brakes = config.brakes.brakes.clone();
        self.view.origins = Arc::new(config.origins());
        self.view.fleet = config.fleet.name.to_string();
        self.view.brakes = config.brakes.brakes.clone();
        self.view.template.clone_from(&config.fleet.template);
        self.view.policy = Arc::clone(&config.hostnames);
        self.view.zones = zones;
    }

    /// Carries out an order of somebody who may give it.
    ///
    /// # Errors
    /// [`OrderError`]: nothing has changed.
    pub async fn take(&self, order: &Order, by: &str) -> Result<Answer, OrderError> {
        let request = self.read(order, by)?;
        let scene = Scene::of(&self.view, &self.brakes);
        if !order.anyway {
            let known = |subject: &&Subject| {
                let taken_back = request.kind.is_none() && scene.input().overrides().get(subject).is_some();
                !taken_back && !self.knows(subject, scene.input().fleet())
            };
            if let Some(subject) = request.subjects.iter().find(known) {
                return Err(OrderError::Unknown {
                    subject: subject.clone(),
                    why: self.where_looked(subject),
                });
            }
        }
        let (after, _) = request.applied_to(scene.input().overrides(), Clock::system().now());
        let subjects = request.subjects.clone();
        let working = tokio::task::spawn_blocking(move || scene.effect(&after, &subjects));
        let effect = working.await.map_err(|_| OverrideError::Ending)?;
        if request.kind == Some(OverrideKind::ForceOut) && !effect.emptied.is_empty() {
            let (yes, anyway) = (!order.yes, !order.anyway && !self.keeps);
            if yes || anyway {
                return Err(OrderError::Empties { names: effect.emptied, yes, anyway });
            }
        }
        let change = self.overrides.request(request).await?;
        Ok(Answer { subjects: change, effect })
    }

    /// Confirms a mass failure to the prober; returns the failure of its self-check.
    ///
    /// # Errors
    /// When no correlation is in force.
    pub async fn confirm_outage(&self, by: &str) -> Result<String, OrderError> {
        let self_check = self.view.inputs.current().health().self_check.clone();
        let Some(self_check @ SelfCheckFailure::Correlation { .. }) = self_check else {
            return Err(OrderError::NoCorrelation);
        };
        self.overrides.confirm().await?;
        info!(by, %self_check, "mass failure confirmed by operator");
        self.confirm_outage.send_modify(|turn| *turn = turn.wrapping_add(1));
        Ok(self_check.to_string())
    }

    fn read(&self, order: &Order, by: &str) -> Result<OverrideRequest, OrderError> {
        let subjects = order.subjects.iter().map(|text| self.subject(text));
        let subjects = subjects.collect::<Result<BTreeSet<Subject>, _>>()?;
        if subjects.is_empty() {
            return Err(OrderError::NoSubject);
        }
        let length = order.reason.chars().count();
        if length > LONGEST_REASON {
            return Err(OrderError::LongReason(length));
        }
        let span = order.seconds.map(Duration::from_secs);
        if span.is_some_and(|span| span.is_zero() || span > LONGEST_SPAN) {
            return Err(OrderError::Span);
        }
        Ok(OverrideRequest {
            subjects: subjects.into_iter().collect(),
            kind: order.kind,
            by: by.to_owned(),
            reason: printable(&order.reason).into_owned(),
            span,
        })
    }

    /// A subject as it is written, or the bare name of a cluster that is configured.
    fn subject(&self, text: &str) -> Result<Subject, OrderError> {
        let member = text.parse::<MemberName>().ok().filter(|name| self.configured.contains(name));
        match (text.parse::<Subject>(), member) {
            (Ok(_), Some(_)) => Err(OrderError::Ambiguous(text.to_owned())),
            (Ok(subject), None) => Ok(subject),
            (Err(_), Some(name)) => Ok(Subject::Cluster(name)),
            (Err(_), None) if !text.contains('/') => {
                Err(OrderError::NoCluster { name: text.to_owned(), known: self.clusters() })
            }
            (Err(bad), None) => Err(bad.into()),
        }
    }

    fn knows(&self, subject: &Subject, snapshot: &Snapshot) -> bool {
        match subject {
            Subject::Cluster(name) => self.configured.contains(name),
            other => !services(snapshot, std::slice::from_ref(other)).is_empty(),
        }
    }

    /// The clusters that there are, for people.
    fn clusters(&self) -> String {
        self.configured.iter().map(MemberName::as_str).collect::<Vec<_>>().join(", ")
    }

    fn where_looked(&self, subject: &Subject) -> String {
        match subject {
            Subject::Cluster(_) => format!("the config has {}", self.clusters()),
            Subject::Service(_) => "no cluster has this Service of type LoadBalancer".to_owned(),
            Subject::ServiceIn(..) => {
                "this cluster does not have this Service of type LoadBalancer".to_owned()
            }
            Subject::Address(_) => "no Service of a cluster has this address".to_owned(),
        }
    }
}
