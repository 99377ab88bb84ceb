//! Name of a member.

use std::fmt;
use std::str::FromStr;

use arcstr::ArcStr;
use thiserror::Error;

use crate::text::printable;

/// Name of a member: a kubeconfig context's, or the one given in the config. Visible ASCII without space, `;`, `,`, `=`
/// and `"`, which the ownership record needs for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberName(ArcStr);

/// Not usable as the name of a member.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' cannot name a cluster; 1 to 253 visible ASCII characters without space, ';', ',', '=', '\"', '\\' can"
)]
pub struct BadMemberName(pub String);

impl MemberName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MemberName {
    type Err = BadMemberName;

    fn from_str(text: &str) -> Result<Self, BadMemberName> {
        let fits = (1..=253).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && !b";,=\"\\".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err(BadMemberName(printable(text).into_owned())) }
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_of_every_cloud_can_name_a_member() {
        for good in ["westus", "gke_p_europe-west1_c", "arn:aws:eks:us-east-1:1:cluster/prod", "kind@x"] {
            assert_eq!(good.parse::<MemberName>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a;b", "a,b", "a=b", "ä"] {
            assert!(bad.parse::<MemberName>().is_err(), "{bad}");
        }
    }
}
