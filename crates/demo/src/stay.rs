//! `--stay`: everything goes on, and whoever sits at the terminal decides which cluster dies.

use std::io::{self, BufRead};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::names;
use super::scene::{Member, Scene};
use super::screen::Screen;
use super::story::{close, dig, open};
use crate::error::DemoError;

/// DNS is asked so often whether it has changed.
const LOOK: Duration = Duration::from_millis(50);

/// Goes on until `quit`, or until the caller drops it. The end of the input is not the end: there may be no terminal.
pub(super) async fn stay(screen: &mut Screen<'_>, scene: &mut Scene) -> Result<(), DemoError> {
    screen.heading("It keeps running. The status page, in a browser:")?;
    screen.hint(&format!("http://{}/", scene.admin))?;
    screen.heading("In another terminal:")?;
    screen.hint(&dig(scene, &names::global()))?;
    screen.hint(&dig(scene, &names::zone(scene.east.name)))?;
    for member in scene.members() {
        screen.hint(&format!("curl http://{}/add/10/67", member.app_address()))?;
    }
    screen.hint(&format!("curl http://{}/api/v1/services", scene.west.api_address()))?;
    screen.hint(&format!("fleetdns status --admin http://{}", scene.admin))?;
    let (east, socket) = (scene.east.name, scene.socket());
    screen.hint(&format!("fleetdns drain cluster/{east} --for 1m --socket {}", socket.display()))?;
    help(screen)?;
    let mut typed = typed();
    let mut shown = scene.look().await.map_err(DemoError::Dns)?;
    let mut since = Instant::now();
    loop {
        let line = tokio::select! {
            line = next(&mut typed) => line,
            () = tokio::time::sleep(LOOK) => {
                let zone = scene.look().await.map_err(DemoError::Dns)?;
                if zone != shown {
                    screen.took("DNS has changed, so long after the last command", since.elapsed())?;
                    screen.records(&zone, &shown)?;
                    shown = zone;
                }
                continue;
            }
        };
        match Command::read(&line) {
            Some(Command::Quit) => return Ok(()),
            Some(Command::Records) => screen.records(&shown, &shown)?,
            Some(Command::Help) => help(screen)?,
            Some(Command::Set { east, part, alive }) => {
                since = Instant::now();
                let member = if east { &mut scene.east } else { &mut scene.west };
                set(member, part, alive).await?;
                screen.say(&state(member, part))?;
            }
            None => screen.say(&format!("'{}' is not known here; 'help' says what is", line.trim()))?,
        }
    }
}

fn help(screen: &mut Screen<'_>) -> io::Result<()> {
    screen.heading("Here, followed by Enter:")?;
    screen.say(
        "kill east         the whole cluster dies; or west\n\
         kill east api     its API alone dies: nothing changes while its app answers\n\
         kill east app     its app alone dies\n\
         kill east svc     its Service is deleted\n\
         return east       it comes back; also with api, app or svc\n\
         records           what is in DNS\n\
         quit              the end; Ctrl-C too\n",
    )
}

fn state(member: &Member, part: Part) -> String {
    if part == Part::Service {
        return format!("{}: done", member.name);
    }
    let words = |open| if open { "answers" } else { "refuses connections" };
    format!("{}: API {}, app {}", member.name, words(member.api_is_open()), words(member.app_is_open()))
}

async fn set(member: &mut Member, part: Part, alive: bool) -> Result<(), DemoError> {
    match (part, alive) {
        (Part::All, false) => close(member).await,
        (Part::Api, false) => member.close_api().await,
        (Part::App, false) => member.close_app().await,
        (Part::Service, false) => member.withdraw(),
        (Part::All, true) => open(member).await?,
        (Part::Api, true) => member.open_api().await?,
        (Part::App, true) => member.open_app().await?,
        (Part::Service, true) => member.publish(),
    }
    Ok(())
}

/// A part of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    Api,
    App,
    Service,
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Set { east: bool, part: Part, alive: bool },
    Records,
    Help,
    Quit,
}

impl Command {
    fn read(line: &str) -> Option<Self> {
        let line = line.to_lowercase();
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first()?;
        let alive = match (*verb, rest) {
            ("records", []) => return Some(Self::Records),
            ("help" | "?", []) => return Some(Self::Help),
            ("quit" | "exit" | "q", []) => return Some(Self::Quit),
            ("kill", _) => false,
            ("return", _) => true,
            _ => return None,
        };
        let (member, part) = match rest {
            [member] => (member, Part::All),
            [member, "api"] => (member, Part::Api),
            [member, "app"] => (member, Part::App),
            [member, "svc" | "service"] => (member, Part::Service),
            _ => return None,
        };
        let east = match *member {
            "east" | "eastus" => true,
            "west" | "westus" => false,
            _ => return None,
        };
        Some(Self::Set { east, part, alive })
    }
}

/// Lines of standard input. They are read by a thread of their own, which a runtime that ends need not wait for.
fn typed() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line; never, after the last one.
async fn next(typed: &mut mpsc::Receiver<String>) -> String {
    match typed.recv().await {
        Some(line) => line,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_in_plain_words() {
        let set = |east, part, alive| Some(Command::Set { east, part, alive });
        for (line, command) in [
            ("kill east", set(true, Part::All, false)),
            ("  Return   WESTUS ", set(false, Part::All, true)),
            ("kill west api", set(false, Part::Api, false)),
            ("return east app", set(true, Part::App, true)),
            ("kill east svc", set(true, Part::Service, false)),
            ("records", Some(Command::Records)),
            ("q", Some(Command::Quit)),
            ("help", Some(Command::Help)),
            ("", None),
            ("kill", None),
            ("kill north", None),
            ("kill east all", None),
            ("quit now", None),
        ] {
            assert_eq!(Command::read(line), command, "{line}");
        }
    }
}
