//! Debian's Chromium, driven over its DevTools protocol. It talks through pipes: there is no port, and no library.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::spawn_bound;

/// A command of the protocol may take so long, with a machine that has other things to do.
const ANSWER: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// A browser with one page. Dropping it kills it.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    session: Option<String>,
    /// What the page asked for, by URL.
    requests: Vec<String>,
    /// What a person would see in red: errors in the console, exceptions, what the content policy forbids.
    errors: Vec<String>,
    loads: usize,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with an empty page.
    ///
    /// # Panics
    /// When it cannot be started: `tests/setup` installs it.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(profile.path().join("log")).expect("the folder can be written to");
        let folder = format!("--user-data-dir={}", profile.path().display());
        // Descriptors 3 and 4 are the protocol's.
        let script = "exec chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null";
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            &folder,
        ];
        let spawned = spawn_bound(Path::new("/bin/sh"), |command| {
            command.args(["-c", script, "chromium"]).args(arguments);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        });
        let mut child = spawned.expect("a shell can be started");
        let (commands, answers) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let pieces = BufReader::new(answers).split(0).map_while(Result::ok);
            pieces
                .map_while(|piece| serde_json::from_slice(&piece).ok())
                .all(|message| sender.send(message).is_ok());
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            last: 0,
            session: None,
            requests: Vec::new(),
            errors: Vec::new(),
            loads: 0,
            _profile: profile,
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", target);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// A command of the protocol and its answer.
    ///
    /// # Panics
    /// When it is refused or not answered.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let text = format!("{message}\0");
        self.commands
            .write_all(text.as_bytes())
            .unwrap_or_else(|e| panic!("Chromium has gone ({method}): {e}"));
        let deadline = Instant::now() + ANSWER;
        loop {
            let mut answer = self.message(deadline).unwrap_or_else(|| panic!("{method} is not answered"));
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
        }
    }

    /// The next message; an event is noted.
    fn message(&mut self, deadline: Instant) -> Option<Value> {
        let left = deadline.saturating_duration_since(Instant::now());
        let message = match self.messages.recv_timeout(left) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => panic!("Chromium has ended"),
        };
        let of = &message["params"];
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests.push(of["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            Some("Page.loadEventFired") => self.loads += 1,
            Some("Log.entryAdded") if of["entry"]["level"] == "error" => {
                self.errors.push(of["entry"].to_string());
            }
            Some("Runtime.exceptionThrown") => self.errors.push(of["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if of["type"] == "error" || of["type"] == "assert" => {
                self.errors.push(of["args"].to_string());
            }
            _ => {}
        }
        Some(message)
    }

    /// Opens a page; returns when it is loaded, and how long that took.
    ///
    /// # Panics
    /// When it is not.
    pub fn open(&mut self, url: &str) -> Duration {
        let (before, began) = (self.loads, Instant::now());
        let answer = self.call("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        while self.loads == before {
            self.message(began + ANSWER).unwrap_or_else(|| panic!("{url} is not loaded"));
        }
        began.elapsed()
    }

    /// The value of a JavaScript expression, when it is a promise what it becomes.
    ///
    /// # Panics
    /// When it throws.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true; returns how long that took.
    ///
    /// # Panics
    /// When the time is over first, with the page's text.
    pub fn until(&mut self, expression: &str, budget: Duration) -> Duration {
        let began = Instant::now();
        while self.value(expression) != json!(true) {
            if began.elapsed() > budget {
                let text = self.value("document.body.innerText");
                panic!("not within {budget:?}: {expression}\n{}", text.as_str().unwrap_or_default());
            }
            std::thread::sleep(LOOK);
        }
        began.elapsed()
    }

    /// Sets the size of the window, and the colours that a person prefers: `light` or `dark`.
    ///
    /// # Panics
    /// When that is refused.
    pub fn show_as(&mut self, width: u32, height: u32, colours: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": colours}]});
        self.call("Emulation.setEmulatedMedia", scheme);
    }

    /// Presses a key, such as `Tab` or `Enter`.
    ///
    /// # Panics
    /// When that is refused.
    pub fn press(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Writes a picture of what the window shows.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn screenshot(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let picture = BASE64_STANDARD.decode(answer["data"].as_str().unwrap_or_default()).expect("base64");
        std::fs::write(file, picture).unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
    }

    /// What axe-core finds on the page: rule, and the elements that break it.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn axe(&mut self, script: &str) -> Vec<String> {
        self.value(&format!("{script}; true"));
        let found = self.value(
            "axe.run(document).then(r => r.violations.map(v => v.id + ': ' + v.help + '\\n' \
             + v.nodes.map(n => '  ' + n.html + '\\n  ' + n.failureSummary).join('\\n')))",
        );
        found
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The errors since this was last asked.
    pub fn errors(&mut self) -> Vec<String> {
        self.catch_up();
        std::mem::take(&mut self.errors)
    }

    /// The URLs that were asked for since this was last asked.
    pub fn requests(&mut self) -> Vec<String> {
        self.catch_up();
        std::mem::take(&mut self.requests)
    }

    /// How many pages were loaded.
    pub fn loads(&mut self) -> usize {
        self.catch_up();
        self.loads
    }

    fn catch_up(&mut self) {
        // What happened before an answer was said before it.
        self.value("true");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
