//! Calls and seconds under Azure's documented limits. Run by hand: `cargo test -p fleetdns-azure --release numbers --
//! --ignored --nocapture`; the window of a minute is shortened to `WINDOW_MS` and the result scaled up.
