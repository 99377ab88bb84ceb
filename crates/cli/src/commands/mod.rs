//! One module for each command, or for commands that work alike.

mod account;
pub mod adopt;
pub(crate) mod ask;
pub mod check;
pub mod events;
pub mod get;
pub mod health;
pub mod init;
pub mod man;
pub mod members;
pub mod overrides;
pub mod plan;
pub mod read;
pub mod release;
pub mod run;
pub mod simulate;
pub(crate) mod survey;
pub mod version;
pub mod why;
