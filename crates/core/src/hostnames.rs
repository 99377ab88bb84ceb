//! Which namespace may ask for which host name: the names that are reserved, and the rules of `[hostnames]`.
//!
//! - A namespace with a rule may have the names that the rule lists, and no others. `*` in it stands for every open name.
//! - A namespace without one follows the rule of `*`. Where there is none, it may have every open name.
//! - A name is open unless it is reserved, or the rule of a namespace lists it.
//! - A reserved name needs a rule that names it: itself, or `*.` below a name that is reserved for the same reason.
//! - A name has one Service, unless a pattern that begins with `shared` lists it: then Services of one namespace may have it
//!   together, and those of two namespaces where each has a rule of its own that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::name::{DnsName, Label, NameError};

/// Stands in a pattern for the namespace that asks.
const NAMESPACE: &str = "{namespace}";
/// Precedes a pattern whose names several Services may have.
const SHARED: &str = "shared";

/// With which other Services a Service may have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Sharing {
    /// With none.
    #[default]
    None,
    /// With those of its own namespace: the rule of `*` says so.
    Namespace,
    /// With those of other namespaces too, whose rules say the same.
    Namespaces,
}

impl Sharing {
    /// Whether two Services may have one name, each with its namespace and what it may share.
    pub fn allows((one, of_one): (&str, Self), (other, of_other): (&str, Self)) -> bool {
        let least = if one == other { Self::Namespace } else { Self::Namespaces };
        of_one.min(of_other) >= least
    }
}

/// What the names of a fleet are reserved by.
#[derive(Debug, Clone, Copy)]
pub struct Territory<'a> {
    /// Zones that are written, with the suffix of federation names in each.
    pub zones: &'a [(DnsName, DnsName)],
    /// Fleet whose federation names are published.
    pub fleet: Option<&'a Label>,
}

/// The rules of `[hostnames]`, and the name servers of the zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostnamePolicy {
    /// By namespace.
    rules: BTreeMap<Arc<str>, Vec<Pattern>>,
    /// The rule of every namespace that has none.
    others: Option<Vec<Pattern>>,
    /// Name servers of the zones.
    servers: BTreeSet<DnsName>,
}

/// Why a name is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The zone's own name.
    Apex,
    /// The name of a name server of the zone.
    NameServer,
    /// A label begins with `_`.
    Underscore,
    /// A name of the federation tree, whether there is a Service of that name or not.
    Federation,
    /// `*` directly below the zone, or below the suffix of federation names.
    Wildcard,
}

impl fmt::Display for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apex => "the zone's own name is reserved",
            Self::NameServer => "the name of a name server is reserved",
            Self::Underscore => "a name with a label that begins with '_' is reserved",
            Self::Federation => "a name of the federation tree is reserved",
            Self::Wildcard => "'*' directly below the zone is reserved",
        })
    }
}

/// Why a namespace may not have a name, and what would allow it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}; in dns.conf, under [hostnames], this line allows it: {line}")]
pub struct Denied {
    /// The reason.
    pub why: Why,
    /// The line of `[hostnames]` that would allow it.
    pub line: Arc<str>,
}

/// A reason to deny a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is reserved, and no rule returns it to the namespace.
    Reserved(Reserved),
    /// The rule of another namespace has it.
    Given(Arc<str>),
    /// The rule that counts for the namespace does not list it.
    Unlisted,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved(reserved) => reserved.fmt(f),
            Self::Given(namespace) => write!(f, "a rule gives it to the namespace {namespace}"),
            Self::Unlisted => f.write_str("the rule of the namespace does not list it"),
        }
    }
}

/// A name, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written, without `shared`.
    text: Arc<str>,
    names: Names,
    /// Whether several Services may have one of the names.
    shared: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    /// `*`: every open name.
    Open,
    /// This one.
    One(DnsName),
    /// `*.NAME`: all below this one, at any depth.
    Below(DnsName),
    /// To be completed with the namespace that asks.
    Template,
}

/// Not a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "invalid pattern '{text}': {source}; expected *, www.example.com, *.example.com or {{namespace}}.example.com, \
     or one of these after the word shared"
)]
pub struct BadPattern {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub source: NameError,
}

impl FromStr for Pattern {
    type Err = BadPattern;

    fn from_str(given: &str) -> Result<Self, BadPattern> {
        let bad = |source| BadPattern { text: given.to_owned(), source };
        let rest = given.strip_prefix(SHARED).filter(|rest| rest.starts_with([' ', '\t']));
        let text = rest.unwrap_or(given).trim_start();
        let sample = names(&text.replace(NAMESPACE, "namespace")).map_err(bad)?;
        let names = if text.contains(NAMESPACE) { Names::Template } else { sample };
        Ok(Self { text: text.into(), names, shared: rest.is_some() })
    }
}

fn names(text: &str) -> Result<Names, NameError> {
    match text.strip_prefix("*.") {
        _ if text == "*" => Ok(Names::Open),
        Some(base) => base.parse().map(Names::Below),
        None => text.parse().map(Names::One),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = if self.shared { "shared " } else { "" };
        write!(f, "{shared}{}", self.text)
    }
}

impl Pattern {
    /// Whether it lists a name for a namespace. What a namespace calls itself never opens a reserved name.
    fn lists(
        &self,
        namespace: &str,
        name: &DnsName,
        reserved: Option<Reserved>,
        land: Territory<'_>,
    ) -> bool {
        let covers = |names: &Names| match names {
            Names::Open | Names::Template => false,
            Names::One(one) => one == name,
            Names::Below(base) => name.is_below(base),
        };
        match (&self.names, reserved) {
            (Names::Template, Some(_)) => false,
            (Names::Template, None) => {
                names(&self.text.replace(NAMESPACE, namespace)).is_ok_and(|names| covers(&names))
            }
            (names, None) => covers(names),
            (Names::Below(base), Some(why)) => {
                let same = land.reserves(base, &BTreeSet::new()) == Some(why)
                    && matches!(why, Reserved::Underscore | Reserved::Federation);
                covers(&self.names) && (same || name.as_str() == &*self.text)
            }
            (names, Some(_)) => covers(names),
        }
    }
}

impl Territory<'_> {
    /// Why a name is reserved, if it is.
    fn reserves(self, name: &DnsName, servers: &BTreeSet<DnsName>) -> Option<Reserved> {
        if self.zones.iter().any(|(zone, _)| zone == name) {
            return Some(Reserved::Apex);
        }
        if servers.contains(name) {
            return Some(Reserved::NameServer);
        }
        if name.labels().any(|label| label.starts_with('_')) {
            return Some(Reserved::Underscore);
        }
        if self.zones.iter().any(|(_, suffix)| self.is_federation(name, suffix)) {
            return Some(Reserved::Federation);
        }
        let direct = |apex: &DnsName| name.relative_to(apex) == Some("*");
        let wildcard = self.zones.iter().any(|(zone, suffix)| direct(zone) || direct(suffix));
        wildcard.then_some(Reserved::Wildcard)
    }

    /// `svc.SUFFIX` and all below it, and the same in each region and zone: `FLEET.svc.REGION.SUFFIX`.
    fn is_federation(self, name: &DnsName, suffix: &DnsName) -> bool {
        let (Some(fleet), Some(relative)) = (self.fleet, name.relative_to(suffix)) else { return false };
        let labels: Vec<&str> = relative.rsplit('.').collect();
        let regional = labels.iter().take(3).zip(labels.iter().skip(1));
        labels.first() == Some(&"svc")
            || regional.into_iter().any(|(svc, left)| *svc == "svc" && *left == fleet.as_str())
    }
}

impl HostnamePolicy {
    /// From rules by namespace (`None` for `*`), and the name servers of the zones.
    pub fn new(
        rules: impl IntoIterator<Item = (Option<Arc<str>>, Vec<Pattern>)>,
        servers: BTreeSet<DnsName>,
    ) -> Self {
        let mut policy = Self { servers, ..Self::default() };
        for (namespace, patterns) in rules {
            match namespace {
                Some(namespace) => drop(policy.rules.insert(namespace, patterns)),
                None => policy.others = Some(patterns),
            }
        }
        policy
    }

    /// Whether a namespace may ask for a name. Returns with which other Services its own may have the name.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, namespace: &str, name: &DnsName, land: Territory<'_>) -> Result<Sharing, Denied> {
        let reserved = land.reserves(name, &self.servers);
        let lists = |one: &&Pattern| one.lists(namespace, name, reserved, land);
        let own = self.rules.get(namespace);
        // The rule of `*` is for many namespaces: it lets none of them share with another.
        let widest = if own.is_some() { Sharing::Namespaces } else { Sharing::Namespace };
        let sharing = |mut patterns: std::slice::Iter<'_, Pattern>, such: &dyn Fn(&&Pattern) -> bool| {
            let shared = patterns.any(|one| one.shared && such(&one));
            if shared { widest } else { Sharing::None }
        };
        if let Some(patterns) = own.filter(|patterns| patterns.iter().any(|one| lists(&one))) {
            return Ok(sharing(patterns.iter(), &lists));
        }
        let denied = |why| Err(Denied { why, line: self.line(namespace, name, "") });
        let of_another =
            self.rules.iter().filter(|(of, _)| ***of != *namespace).find_map(|(of, patterns)| {
                let mut listing =
                    patterns.iter().filter(|one| one.lists(of, name, reserved, land)).peekable();
                listing.peek()?;
                Some((of, listing.any(|one| one.shared)))
            });
        if let Some((other, shared)) = of_another {
            // Without the word, the name would go on being the other's alone.
            let line = self.line(namespace, name, if shared { "shared " } else { "" });
            return Err(Denied { why: Why::Given(Arc::clone(other)), line });
        }
        let effective = own.or(self.others.as_ref());
        if let Some(patterns) = effective.filter(|patterns| patterns.iter().any(|one| lists(&one))) {
            return Ok(sharing(patterns.iter(), &lists));
        }
        if let Some(reserved) = reserved {
            return denied(Why::Reserved(reserved));
        }
        let is_open = |one: &&Pattern| one.names == Names::Open;
        let Some(patterns) = effective else { return Ok(Sharing::None) };
        if patterns.iter().any(|one| is_open(&one)) {
            Ok(sharing(patterns.iter(), &is_open))
        } else {
            denied(Why::Unlisted)
        }
    }

    /// Whether a namespace may have the name of a name server that a zone has told of.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check_name_server(&self, namespace: &str, name: &DnsName) -> Result<(), Denied> {
        let rule = self.rules.get(namespace).or(self.others.as_ref());
        let named = |one: &Pattern| matches!(&one.names, Names::One(one) if one == name);
        if rule.is_some_and(|patterns| patterns.iter().any(named)) {
            return Ok(());
        }
        Err(Denied { why: Why::Reserved(Reserved::NameServer), line: self.line(namespace, name, "") })
    }

    /// The line that allows what is allowed now, and one name more.
    fn line(&self, namespace: &str, name: &DnsName, shared: &str) -> Arc<str> {
        let now = self.rules.get(namespace).or(self.others.as_ref());
        let now = now.map_or_else(|| "*".to_owned(), |patterns| listed(patterns));
        format!("{namespace} = {now}, {shared}{name}").into()
    }

    /// The rules as they would be written, by namespace.
    pub fn rules(&self) -> BTreeMap<String, String> {
        let own = self.rules.iter().map(|(namespace, patterns)| (namespace.to_string(), listed(patterns)));
        own.chain(self.others.iter().map(|patterns| ("*".to_owned(), listed(patterns)))).collect()
    }

    /// Name servers of the zones.
    pub const fn servers(&self) -> &BTreeSet<DnsName> {
        &self.servers
    }
}

fn listed(patterns: &[Pattern]) -> String {
    patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
