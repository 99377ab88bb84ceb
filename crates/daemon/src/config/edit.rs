//! Changes to the text of a `dns.conf`: the section of a member is added or removed.
//!
//! Invariant: every line outside of that section stays as it is, byte by byte; adding a member and removing it again
//! returns the text as it was.

use fleetdns_core::MemberName;

use super::ini::Header;
use super::schema::{CLUSTER, spelling};

/// Adds a section for a member behind all others.
pub fn add_member(text: &str, name: &MemberName, keys: &[(&str, String)]) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let ending = if lines.iter().any(|line| line.ends_with('\r')) { "\r" } else { "" };
    let header = format!("[{} \"{name}\"]", CLUSTER.kind);
    let values = keys.iter().map(|(key, value)| format!("{key} = {value}"));
    let section: Vec<String> =
        [String::new(), header].into_iter().chain(values).map(|line| line + ending).collect();
    // Behind the last line break there is an empty piece, which stays the last one.
    let last = lines.pop_if(|line| line.is_empty());
    lines.extend(section.iter().map(String::as_str));
    lines.extend(last);
    lines.join("\n")
}

/// Removes the section of a member: its header, its keys, comments between them and right below them, and the blank line
/// above. `None` when there is no such section.
pub fn remove_member(text: &str, name: &MemberName) -> Option<String> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let is_it = |line: &str| {
        member_of(line).is_some_and(|label| label.parse().is_ok_and(|it: MemberName| it == *name))
    };
    let header = lines.iter().position(|line| is_it(line))?;
    let above = header.checked_sub(1).filter(|above| lines.get(*above).is_some_and(|line| is_blank(line)));
    let start = above.unwrap_or(header);
    let end = header.saturating_add(length(lines.get(header..)?));
    lines.drain(start..end);
    Some(lines.join("\n"))
}

/// Labels of the sections of members, in the order of the text.
pub fn members(text: &str) -> Vec<String> {
    text.split('\n').filter_map(member_of).collect()
}

/// Lines of the section that begins with the first of these.
fn length(lines: &[&str]) -> usize {
    let next =
        lines.iter().skip(1).position(|line| is_header(line)).map_or(lines.len(), |at| at.saturating_add(1));
    let own = lines.get(..next).unwrap_or_default();
    let keys = own
        .iter()
        .rposition(|line| !is_blank(line) && !is_comment(line))
        .map_or(1, |at| at.saturating_add(1));
    let comments = own.iter().skip(keys).take_while(|line| is_comment(line)).count();
    let end = keys.saturating_add(comments);
    // A comment right above the next header is about that one.
    if end == next && next < lines.len() { keys } else { end }
}

fn member_of(line: &str) -> Option<String> {
    let line = bare(line);
    let header = Header::read(line.starts_with('[').then_some(line)?);
    header.label.filter(|_| spelling(&header.kind) == CLUSTER.kind)
}

fn bare(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim_matches([' ', '\t', '\r'])
}

fn is_blank(line: &str) -> bool {
    bare(line).is_empty()
}

fn is_comment(line: &str) -> bool {
    bare(line).starts_with(['#', ';'])
}

fn is_header(line: &str) -> bool {
    bare(line).starts_with('[')
}

#[cfg(test)]
mod tests;
