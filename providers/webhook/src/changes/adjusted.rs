//! What the webhook makes of an edit, before it is written and after.

use std::collections::BTreeMap;

use fleetdns_core::RecordType as Kind;
use fleetdns_core::redact::backend_text;

use super::{Edit, MARK_TTL, Op, Part, Unfit, impossible, key};
use crate::listing::{Known, data};
use crate::ownership;
use crate::wire::Endpoint;

impl Edit {
    /// How many targets its mark has afterwards.
    pub(crate) fn mark_size(&self) -> usize {
        let mark = self.ops.iter().find(|op| op.part == Part::OwnershipRecord);
        mark.and_then(|op| op.new.as_ref()).map_or(0, |new| new.targets.len())
    }

    /// What is to be asked of the webhook before it is written.
    pub(crate) fn overrides(&self) -> impl Iterator<Item = &Endpoint> {
        self.ops.iter().filter_map(|op| op.new.as_ref())
    }

    /// Takes in what the webhook makes of the overrides. `learned` says what it lists where it was last sent such a TTL.
    ///
    /// # Errors
    /// When what it would write is something else.
    pub(crate) fn take(
        &mut self,
        answers: &BTreeMap<(String, String), Endpoint>,
        learned: impl Fn(Kind, i64) -> Option<(i64, u32)>,
    ) -> Result<(), Unfit> {
        for op in &mut self.ops {
            let Some(new) = &mut op.new else { continue };
            let Some(answer) = answers.get(&key(new)) else {
                return Err(impossible(format!(
                    "the webhook leaves {} {} out when it is asked to adjust it; it does not serve such records",
                    new.dns_name, new.record_type
                )));
            };
            if let Part::Set(kind) = op.part {
                if data(kind, &answer.targets) != data(kind, &new.targets) {
                    return Err(impossible(format!(
                        "the webhook would write {} in place of {}",
                        backend_text(&answer.targets.join(" "), &[]),
                        new.targets.join(" ")
                    )));
                }
                if let Some(stored) = self.sets.get_mut(&kind) {
                    let properties = ownership::fingerprint(&answer.provider_specific);
                    (stored.listed, stored.properties) =
                        learned(kind, answer.record_ttl).unwrap_or((answer.record_ttl, properties));
                }
                new.targets.clone_from(&answer.targets);
            }
            new.record_ttl = answer.record_ttl;
            new.provider_specific.clone_from(&answer.provider_specific);
        }
        self.adjusted = true;
        self.remark()
    }

    /// Writes the mark's text again.
    fn remark(&mut self) -> Result<(), Unfit> {
        if self.ownership.is_none() {
            return Ok(());
        }
        if self.mark_text() == self.old_text {
            self.ops.retain(|op| op.part != Part::OwnershipRecord);
            return Ok(());
        }
        let targets = self.mark_targets()?;
        if let Some(new) =
            self.ops.iter_mut().find(|op| op.part == Part::OwnershipRecord).and_then(|op| op.new.as_mut())
        {
            new.targets = targets;
        }
        Ok(())
    }

    /// The text of the mark afterwards.
    pub(crate) fn mark_text(&self) -> Option<String> {
        self.ownership.as_ref().map(|ownership| ownership::whole(ownership, &self.sets))
    }

    /// An edit of the mark alone, where the webhook lists the sets otherwise than the mark says; `None` when it is right.
    pub(crate) fn correction(&self, known: &Known) -> Option<Self> {
        let kept = known.kept.as_ref()?;
        let ownership = self.ownership.clone()?;
        let mut sets = self.sets.clone();
        for (kind, stored) in &mut sets {
            let endpoint = &known.raw(*kind)?.endpoint;
            (stored.listed, stored.properties) =
                (endpoint.record_ttl, ownership::fingerprint(&endpoint.provider_specific));
        }
        if sets == self.sets {
            return None;
        }
        let (name, old_text) = (self.name.clone(), kept.record.text.clone());
        let mut edit =
            Self { name, ops: Vec::new(), ownership: Some(ownership), sets, old_text, adjusted: true };
        let old = kept.raw.endpoint.clone();
        // Where no TTLs are listed, none may be sent back.
        let record_ttl = if old.record_ttl == 0 { MARK_TTL } else { old.record_ttl };
        let new = Endpoint { targets: edit.mark_targets().ok()?, record_ttl, ..old.clone() };
        edit.ops.push(Op { part: Part::OwnershipRecord, old: Some(old), new: Some(new) });
        Some(edit)
    }

    /// TTLs that were sent, by type.
    pub(crate) fn sent(&self) -> impl Iterator<Item = (Kind, i64)> {
        self.ops.iter().filter_map(|op| match op.part {
            Part::Set(kind) => Some((kind, op.new.as_ref()?.record_ttl)),
            Part::OwnershipRecord | Part::Theirs => None,
        })
    }
}
