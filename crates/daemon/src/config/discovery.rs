//! The section `[discovery]`: members that come and go beside the sections.

use super::directory;
use super::fault::Fault;
use super::members::usual_limits;
use super::membership::Listing;
use super::outside::Outside;
use super::raw::Raw;
use super::reader::Reader;
use super::schema::DISCOVERY;

/// What each source says.
pub(super) fn read(raw: &Raw, file: &str, outside: &Outside<'_>, faults: &mut Vec<Fault>) -> Vec<Listing> {
    let Some(section) = raw.section(DISCOVERY.kind) else { return Vec::new() };
    // Its faults are those of `[fleet]`, which is read elsewhere.
    let limits = usual_limits(raw, file, &mut Vec::new());
    let mut reader = Reader::of(section, faults);
    let directory = reader.text("directory").map(|text| outside.path(text));
    directory.into_iter().map(|path| directory::list(&path, limits, outside)).collect()
}
