//! Which names a webhook serves, decided as external-dns itself decides it (`endpoint/domain_filter.go`): a name is
//! served when one of the included domains holds it and none of the excluded ones does; an expression, where there is
//! one, takes the place of both lists.

use std::fmt;

use fleetdns_core::redact::backend_text;
use fleetdns_core::{DnsName, Label, Unwritable};
use regex::Regex;

use crate::wire::Domains;

/// A webhook's domain filter.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Lists { include: Vec<String>, exclude: Vec<String> },
    Expressions { include: Option<Regex>, exclude: Option<Regex> },
}

/// How much of a zone a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    All,
    /// Some names of it, as far as can be told.
    Some,
    None,
}

impl Filter {
    /// # Errors
    /// What is wrong with it; external-dns ends at the same.
    pub(crate) fn read(domains: &Domains) -> Result<Self, String> {
        if domains.regex_include.is_empty() && domains.regex_exclude.is_empty() {
            return Ok(Self::Lists {
                include: prepared(&domains.include),
                exclude: prepared(&domains.exclude),
            });
        }
        if !domains.include.is_empty() || !domains.exclude.is_empty() {
            return Err("its domain filter has lists and expressions at once".to_owned());
        }
        let expression = |text: &str| match text {
            "" => Ok(None),
            text => Regex::new(text).map(Some).map_err(|_| {
                format!("its domain filter has '{}', which is no expression", backend_text(text, &[]))
            }),
        };
        Ok(Self::Expressions {
            include: expression(&domains.regex_include)?,
            exclude: expression(&domains.regex_exclude)?,
        })
    }

    /// Whether a name is served.
    pub(crate) fn serves(&self, name: &DnsName) -> bool {
        let name = unicode(name.as_str());
        match self {
            Self::Lists { include, exclude } => {
                (include.is_empty() || holds(include, &name)) && !holds(exclude, &name)
            }
            Self::Expressions { include, exclude } => {
                exclude.as_ref().is_none_or(|regex| !regex.is_match(&name))
                    && include.as_ref().is_none_or(|regex| regex.is_match(&name))
            }
        }
    }

    /// For a person; its words come from outside.
    pub(crate) fn shown(&self) -> String {
        backend_text(&self.to_string(), &[])
    }

    /// Domains that the filter leaves out, with all names below them.
    pub(crate) fn excluded(&self) -> Vec<Unwritable> {
        let Self::Lists { exclude, .. } = self else { return Vec::new() };
        let names = exclude.iter().filter(|filter| !filter.starts_with('.'));
        let unwritable = |name: DnsName| Unwritable {
            reason: format!("the domain filter of the webhook excludes {name}").into(),
            name,
            subtree: true,
        };
        names.filter_map(|filter| filter.parse().ok()).map(unwritable).collect()
    }

    /// How much of a zone is served. Of expressions only samples can be looked at: the zone's own name, a name in it and a
    /// federation name.
    pub(crate) fn reach(&self, zone: &DnsName, fleet: &Label) -> Reach {
        let samples = ["name".to_owned(), format!("service.namespace.{fleet}.svc")];
        let samples = samples.iter().filter_map(|labels| zone.prepend(labels).ok()).chain([zone.clone()]);
        let served: Vec<bool> = samples.map(|name| self.serves(&name)).collect();
        let below = || match self {
            Self::Lists { include, exclude } => {
                let dotted = format!(".{}", unicode(zone.as_str()));
                let within = |filter: &String| filter.ends_with(&dotted) && !holds(exclude, filter);
                include.iter().any(within)
            }
            Self::Expressions { .. } => false,
        };
        match (served.iter().all(|one| *one), served.contains(&true)) {
            (true, _) if self.is_whole(zone) => Reach::All,
            (_, true) => Reach::Some,
            _ if below() => Reach::Some,
            _ => Reach::None,
        }
    }

    /// Whether nothing in the zone is excluded.
    fn is_whole(&self, zone: &DnsName) -> bool {
        let dotted = format!(".{}", unicode(zone.as_str()));
        match self {
            Self::Lists { exclude, .. } => !exclude.iter().any(|filter| filter.ends_with(&dotted)),
            Self::Expressions { .. } => false,
        }
    }
}

/// For a person.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self {
            Self::Lists { include, exclude } => {
                parts.extend((!include.is_empty()).then(|| format!("include {}", include.join(", "))));
                parts.extend((!exclude.is_empty()).then(|| format!("exclude {}", exclude.join(", "))));
            }
            Self::Expressions { include, exclude } => {
                parts.extend(include.as_ref().map(|regex| format!("include /{regex}/")));
                parts.extend(exclude.as_ref().map(|regex| format!("exclude /{regex}/")));
            }
        }
        if parts.is_empty() { f.write_str("none") } else { f.write_str(&parts.join("; ")) }
    }
}

fn prepared(domains: &[String]) -> Vec<String> {
    domains.iter().map(|text| unicode(text.trim())).filter(|text| !text.is_empty()).collect()
}

/// A domain with a leading dot holds what lies below it, one without holds itself too.
fn holds(filters: &[String], name: &str) -> bool {
    filters.iter().any(|filter| {
        let below = |rest: &str| rest.ends_with('.');
        match filter.strip_prefix('.') {
            Some(_) => name.ends_with(filter.as_str()),
            None => name == filter || name.strip_suffix(filter.as_str()).is_some_and(below),
        }
    })
}

/// Lower case, letters of other scripts as such, without the final dot.
fn unicode(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    // A leading dot is no part of a name.
    let (dot, name) = text.strip_prefix('.').map_or(("", text), |rest| (".", rest));
    // What is wrong with it is left as it is.
    let (shown, _) = idna::domain_to_unicode(name);
    format!("{dot}{shown}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &str, exclude: &str) -> Filter {
        let list = |text: &str| text.split(' ').filter(|t| !t.is_empty()).map(str::to_owned).collect();
        Filter::read(&Domains { include: list(include), exclude: list(exclude), ..Domains::default() })
            .unwrap()
    }

    fn expressions(include: &str, exclude: &str) -> Result<Filter, String> {
        let (regex_include, regex_exclude) = (include.to_owned(), exclude.to_owned());
        Filter::read(&Domains { regex_include, regex_exclude, ..Domains::default() })
    }

    /// The table of external-dns's own tests has the same answers.
    #[test]
    fn names_are_matched_as_external_dns_matches_them() {
        for (include, exclude, name, expected) in [
            ("", "", "foo.bar.org", true),
            ("bar.org", "", "foo.bar.org", true),
            ("bar.org", "", "bar.org", true),
            ("bar.org.", "", "bar.org", true),
            ("BAR.org", "", "foo.bar.org", true),
            ("bar.org", "", "foobar.org", false),
            (".bar.org", "", "bar.org", false),
            (".bar.org", "", "a.foo.bar.org", true),
            ("foo.bar.org", "", "bar.org", false),
            ("bar.org", "foo.bar.org", "bar.org", true),
            ("bar.org", "foo.bar.org", "a.foo.bar.org", false),
            ("", ".bar.org", "bar.org", true),
            ("", ".bar.org", "a.bar.org", false),
            ("bücher.org", "", "a.xn--bcher-kva.org", true),
            ("xn--bcher-kva.org", "", "bücher.org", true),
        ] {
            let name = name.parse().unwrap();
            assert_eq!(filter(include, exclude).serves(&name), expected, "{include} | {exclude} | {name}");
        }
        for (include, exclude, name, expected) in [
            ("\\.org$", "", "foo.bar.org", true),
            ("^foo", "", "bar.org", false),
            ("", "^foo", "bar.org", true),
            ("\\.org$", "^foo", "foo.bar.org", false),
            ("bücher", "", "xn--bcher-kva.org", true),
        ] {
            let name = name.parse().unwrap();
            assert_eq!(
                expressions(include, exclude).unwrap().serves(&name),
                expected,
                "{include} {exclude} {name}"
            );
        }
    }

    #[test]
    fn a_filter_that_external_dns_refuses_is_refused() {
        assert!(expressions("(", "").unwrap_err().contains("'('"));
        let both =
            Domains { include: vec!["a".to_owned()], regex_include: "a".to_owned(), ..Domains::default() };
        assert!(Filter::read(&both).is_err());
    }

    #[test]
    fn a_zone_is_served_whole_in_part_or_not_at_all() {
        let zone = "example.com".parse().unwrap();
        let fleet = "fed".parse().unwrap();
        for (include, exclude, reach) in [
            ("", "", Reach::All),
            ("com", "", Reach::All),
            ("example.com example.org", "", Reach::All),
            ("example.com", "no.example.com", Reach::Some),
            (".example.com", "", Reach::Some),
            ("sub.example.com", "", Reach::Some),
            ("sub.example.com", "sub.example.com", Reach::None),
            ("example.org", "", Reach::None),
            ("notexample.com", "", Reach::None),
            ("", "example.com", Reach::None),
        ] {
            assert_eq!(filter(include, exclude).reach(&zone, &fleet), reach, "{include} | {exclude}");
        }
        for (include, exclude, reach) in [
            ("example\\.com$", "", Reach::Some),
            ("\\.fed\\.svc\\.example\\.com$", "", Reach::Some),
            ("example\\.org$", "", Reach::None),
            ("", "com$", Reach::None),
        ] {
            let filter = expressions(include, exclude).unwrap();
            assert_eq!(filter.reach(&zone, &fleet), reach, "{include} | {exclude}");
        }
    }
}
