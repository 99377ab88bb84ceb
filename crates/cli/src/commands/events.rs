//! `fleetdns events`: what happened, and what happens.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use super::ask::ask;
use crate::args::{Daemon, Format};
use crate::error::{CommandError, Exit};
use crate::output::{on_terminal, yaml};
use fleetdns_daemon::journal::Page;

/// How long one question waits for an event; shorter than the daemon may take to answer.
const WAIT: u64 = 5;
/// Before a daemon that is away is asked again.
const AWAY: Duration = Duration::from_secs(1);

/// Prints events, one a line.
///
/// # Errors
/// When the daemon cannot be asked; a daemon that goes away while it is followed is waited for.
pub async fn events(
    daemon: &Daemon,
    follow: bool,
    name: Option<String>,
    cluster: Option<String>,
) -> Result<Exit, CommandError> {
    let mut filter = String::new();
    for (key, value) in [("name", name), ("cluster", cluster)] {
        if let Some(value) = value {
            filter.push_str(&format!("&{}", query(&[(key, &value)])?));
        }
    }
    let (mut after, mut run, mut said) = (0, None, false);
    loop {
        let of_run = run.as_ref().map(|run: &String| query(&[("run", run)])).transpose()?;
        let of_run = of_run.map(|text| format!("&{text}")).unwrap_or_default();
        let wait = if follow && run.is_some() { WAIT } else { 0 };
        let page: Page =
            match ask(daemon, &format!("/v1/events?after={after}&wait={wait}{of_run}{filter}")).await {
                Ok(page) => page,
                Err(error) if run.is_some() && follow => {
                    if !std::mem::replace(&mut said, true) {
                        error.print();
                    }
                    tokio::time::sleep(AWAY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
        said = false;
        if page.lost > 0 && after > 0 {
            eprintln!("fleetdns: {} events came too fast and are missing here", page.lost);
        }
        match print(daemon.output.output, &page) {
            // Whoever closed the pipe has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Done),
            Err(error) => return Err(CommandError::failed(&error)),
            Ok(()) => {}
        }
        let done = page.events.is_empty();
        (after, run) = (page.last, Some(page.run));
        if done && !follow {
            return Ok(Exit::Done);
        }
    }
}

fn print(format: Format, page: &Page) -> std::io::Result<()> {
    if matches!(format, Format::Text | Format::Wide) {
        return on_terminal(false, |out| {
            page.events.iter().try_for_each(|event| out.line(&event.time, &event.what.to_string()))?;
            out.flush()
        });
    }
    let mut out = std::io::stdout().lock();
    for event in &page.events {
        match format {
            Format::Json => {
                serde_json::to_writer(&mut out, event)?;
                writeln!(out)?;
            }
            _ => write!(out, "---\n{}", yaml(event)?)?,
        }
    }
    out.flush()
}

fn query(pairs: &[(&str, &str)]) -> Result<String, CommandError> {
    let url = reqwest::Url::parse_with_params("http://daemon/", pairs);
    let url = url.map_err(|error| CommandError::failed(&error))?;
    Ok(url.query().unwrap_or_default().to_owned())
}
