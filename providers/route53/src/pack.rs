//! Changes into batches, as few as the limits of Route 53 let be.

use crate::changes::{Group, Size};

/// Batches in the order of the groups. A group of several steps is alone.
pub(crate) fn pack(groups: Vec<Group>) -> Vec<Vec<Group>> {
    let mut batches: Vec<Vec<Group>> = Vec::new();
    let mut large: Vec<Vec<Group>> = Vec::new();
    let mut size = Size::default();
    for group in groups {
        let [deltas] = &group.steps[..] else {
            large.push(vec![group]);
            continue;
        };
        let more = Size::of(deltas);
        match batches.last_mut().filter(|_| size.and(more).fits()) {
            Some(batch) => {
                size = size.and(more);
                batch.push(group);
            }
            None => {
                size = more;
                batches.push(vec![group]);
            }
        }
    }
    batches.extend(large);
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{CHARACTERS, Delta, ELEMENTS};
    use crate::shape::{Body, Raw};
    use fleetdns_core::RecordType;

    fn group(number: usize, values: usize, length: usize, steps: usize) -> Group {
        let name: fleetdns_core::DnsName = format!("n{number}.example.com").parse().unwrap();
        let raw = Raw { ttl: 30, values: vec!["x".repeat(length); values] };
        let (record_type, body) = (Some(RecordType::A), Body::Values(raw));
        let delta = Delta { delete: false, name: name.clone(), record_type, body };
        Group { name, steps: vec![vec![delta]; steps], after: vec![], mark: None }
    }

    fn counts(groups: Vec<Group>) -> Vec<usize> {
        pack(groups).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_batch_is_full_at_its_limits_and_no_sooner() {
        let many =
            |count, values, length| (0..count).map(|n| group(n, values, length, 1)).collect::<Vec<_>>();
        assert_eq!(counts(many(ELEMENTS + 1, 1, 1)), [ELEMENTS, 1]);
        assert_eq!(counts(many(101, 1, CHARACTERS / 100)), [100, 1]);
        assert_eq!(counts(many(4, 499, 1)), [2, 2]);
        assert_eq!(counts(vec![]), [0; 0]);
    }

    #[test]
    fn what_needs_several_steps_is_alone() {
        let groups = vec![group(0, 1, 1, 1), group(1, 1, 1, 2), group(2, 1, 1, 1)];
        assert_eq!(counts(groups), [2, 1]);
    }
}
