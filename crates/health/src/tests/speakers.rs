//! Which keys of a large member are asked for all of them.

use super::rounds::probed;
use super::*;

/// Healthy keys of one place.
fn add(vantage: &mut VantageMonitor, keys: std::ops::Range<usize>, place: &Place) {
    for key in keys {
        vantage.join(id(key), place);
        vantage.take(id(key), &probed(0, true, true));
    }
}

fn ids(keys: impl IntoIterator<Item = usize>) -> Vec<KeyId> {
    keys.into_iter().map(id).collect()
}

#[test]
fn when_half_of_the_sample_has_left_or_is_out_others_take_its_place() {
    for leaves in [true, false] {
        let (mut vantage, default) = (VantageMonitor::new(SETTINGS, []), place(0, "default"));
        add(&mut vantage, 0..64, &default);
        assert_eq!(vantage.asked(), ids(0..32));
        for key in 0..17 {
            if leaves {
                vantage.leave(id(key), &default);
            } else {
                let out = Probed { verdict: Verdict::Unhealthy, failures: 3, ..probed(10_000, false, false) };
                vantage.take(id(key), &out);
            }
        }
        assert_eq!(vantage.check(ms(90_000)), None);
        assert_eq!(vantage.asked(), ids(17..49), "{leaves}");
    }
}

#[test]
fn a_namespace_that_comes_takes_the_place_of_another_of_its_own_member() {
    let mut vantage = VantageMonitor::new(SETTINGS, []);
    add(&mut vantage, 0..40, &place(0, "big"));
    add(&mut vantage, 40..42, &place(1, "big"));
    add(&mut vantage, 42..43, &place(0, "small"));
    assert_eq!(vantage.asked(), ids((0..31).chain(40..43)));
}
