//! What holds of any zone file.

use std::path::Path;

use fleetdns_core::text::is_hidden;
use fleetdns_core::{DnsName, Label};

use super::octets::{to_octets, to_text};
use super::zone::{Damage, Leaving, Ours, ZoneText};

const NOW: u64 = 1_795_435_200;

fn read(text: &str) -> Result<ZoneText, Damage> {
    let zone: DnsName = "example.com".parse().unwrap();
    let included = |path: &Path| match path.to_str() {
        Some("/etc/more.db") => Ok("more A 10.0.0.9\n$INCLUDE more.db\n".to_owned()),
        _ => Err("no such file".to_owned()),
    };
    ZoneText::read(text, &zone, &owner(), (Path::new("/etc/db"), &included))
}

fn owner() -> Label {
    "fed".parse().unwrap()
}

/// What a file says, but for what others have at our names.
fn sets(zone: &ZoneText) -> Vec<String> {
    let listing = zone.listing();
    let told = &listing.unreadable;
    assert!(told.len() <= 101 && !told.iter().any(|text| text.contains(is_hidden)), "{told:?}");
    let mut sets: Vec<String> = listing
        .observed
        .iter()
        .flat_map(|(name, sets)| sets.iter().map(move |set| format!("{name} {set} {:?}", set.claim)))
        .collect();
    sets.sort();
    sets
}

/// A file that is written again with what it says is read again as the same; without our block, what is left is what was
/// not ours, byte by byte but for the serial.
pub(crate) fn zone_file(data: &[u8]) {
    let text = to_text(data);
    assert_eq!(to_octets(&text), data);
    let zone = match read(&text) {
        Ok(zone) => zone,
        Err(damage) => return assert!(!damage.to_string().contains(is_hidden)),
    };
    let written = zone.render(&zone.ours, &Leaving::default(), &owner(), NOW);
    let again = read(&written).unwrap_or_else(|damage| panic!("{damage}: {written}"));
    assert_eq!(again.ours, zone.ours, "{written}");
    assert_eq!(sets(&again), sets(&zone), "{written}");
    let without = zone.render(&Ours::new(), &Leaving::default(), &owner(), NOW);
    assert_eq!(again.render(&Ours::new(), &Leaving::default(), &owner(), NOW).len(), without.len());
    if zone.serial.is_err() {
        assert!(written.starts_with(&without), "{written}");
        let kept = |line: &&str| !line.contains("fleetdns") && !line.starts_with(';');
        let foreign = text.split("; fleetdns begin owner=fed").next().unwrap_or_default();
        assert!(foreign.lines().filter(kept).all(|line| without.contains(line)), "{without}");
    }
}
