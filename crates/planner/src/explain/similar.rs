//! Names that somebody may have meant.

use fleetdns_core::name::DnsName;

/// So many are named.
const SHOWN: usize = 3;

/// The names that are most like one: those that begin with it first, then those that few changes lead to.
pub fn similar<'a>(name: &DnsName, known: impl Iterator<Item = &'a DnsName>) -> Vec<String> {
    let limit = (name.as_str().len() / 5).clamp(2, 8);
    let mut near: Vec<(usize, &DnsName)> =
        known.filter_map(|other| Some((likeness(name.as_str(), other.as_str(), limit)?, other))).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(SHOWN).map(|(_, name)| name.to_string()).collect()
}

/// 0 for the most alike; `None` beyond the limit.
fn likeness(name: &str, other: &str, limit: usize) -> Option<usize> {
    let begins = other.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if begins {
        return Some(0);
    }
    if name.len().abs_diff(other.len()) > limit {
        return None;
    }
    Some(distance(name.as_bytes(), other.as_bytes(), limit)?.max(1))
}

/// Insertions, deletions and replacements that lead from one to the other; `None` when they are more than `limit`.
fn distance(one: &[u8], two: &[u8], limit: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (line, a) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut()?, line + 1);
        let mut left = line + 1;
        let mut best = left;
        for (cell, b) in row.iter_mut().skip(1).zip(two) {
            let here = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
            best = best.min(here);
        }
        if best > limit {
            return None;
        }
    }
    row.last().copied().filter(|edits| *edits <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_comes_first_and_slips_are_forgiven() {
        let known: Vec<DnsName> = [
            "web.default.fed.svc.example.com",
            "web.default.fed.svc.westus.example.com",
            "api.default.fed.svc.example.com",
            "www.example.com",
        ]
        .map(|name| name.parse().unwrap())
        .to_vec();
        let near = |name: &str| similar(&name.parse().unwrap(), known.iter());
        assert_eq!(near("web.default"), [known[0].as_str(), known[1].as_str()]);
        assert_eq!(near("web.defualt.fed.svc.example.com"), [known[0].as_str(), known[2].as_str()]);
        assert_eq!(near("web.default.fed.svc.eastus.example.com")[0], known[1].as_str());
        assert_eq!(near("ww.example.com"), [known[3].as_str()]);
        assert!(near("nothing.like.it.at.all.example.org").is_empty());
    }
}
