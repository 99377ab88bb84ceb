//! The status page: what an operator looks at in an incident, at `/` of the admin listener.
//!
//! Reads the same channels as the admin API. Returns HTML that the server renders: it works without JavaScript; with it,
//! `/stream` says when something has changed, and the page fetches itself again.
//!
//! ```text
//! View ─→ overview, services, timeline, preview (models; no I/O) ─→ templates/*.html
//! ```
//!
//! Invariant: nothing is changed here; a page shows the command line that changes it.
//! Invariant: text from outside reaches a template as [`Text`](text::Text) and in no other type; what a reader typed is only
//! put back into its field.
//! Invariant: one page costs one look over the fleet a second, whoever asks, and the rows that it shows.

mod addresses;
mod banner;
mod clusters;
mod overview;
mod preview;
mod serve;
mod services;
mod stream;
mod survey;
mod templates;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod zones;

pub(crate) use serve::routes;
