//! What a configuration means, and everything that can be wrong with one.

mod discovery;
mod faults;
mod files;
mod ha;
mod locate;
mod meaning;
mod secrets;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fleetdns_watch::Access;

use super::{Config, DirectoryFile, Fault, Flags, Outside};

/// A configuration with what surrounds it, all of it made up.
#[derive(Default)]
struct Case {
    text: String,
    flags: Flags,
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    contexts: Vec<String>,
    root: bool,
}

/// What every case needs and is not about.
const REST: &str = "[cluster \"here\"]\n";
/// The same, with a zone and a fleet.
const BASE: &str = "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n[cluster \"here\"]\n";

fn case(text: &str) -> Case {
    Case { text: text.to_owned(), ..Case::default() }
}

impl Case {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.into(), content.as_bytes().to_vec());
        self
    }

    fn contexts(mut self, names: &[&str]) -> Self {
        self.contexts = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Flags as they are typed.
    fn flags(mut self, typed: &str) -> Self {
        #[derive(Debug, clap::Parser)]
        struct Cli {
            #[command(flatten)]
            flags: Flags,
        }
        let words = std::iter::once("fleetdns").chain(typed.split_whitespace());
        self.flags = <Cli as clap::Parser>::try_parse_from(words).unwrap().flags;
        self
    }

    fn parse(&self) -> Result<Config, Vec<Fault>> {
        self.with_outside(|outside| Config::parse("dns.conf", self.text.as_bytes(), &self.flags, outside))
    }

    /// As the program does it, from the file that the flags name.
    fn load(&self) -> Result<Config, Vec<Fault>> {
        self.with_outside(|outside| Config::load_from(&self.flags, outside))
    }

    fn with_outside<T>(&self, read_config: impl FnOnce(&Outside<'_>) -> T) -> T {
        let read = |path: &Path| {
            let content = self.files.get(path).cloned();
            content.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such file"))
        };
        let contexts = |_: &[PathBuf]| {
            let broken = self.contexts.first().is_some_and(|name| name == "!");
            if broken { Err("it is broken".to_owned()) } else { Ok(self.contexts.clone()) }
        };
        let (variables, root) = (self.variables.clone(), self.root);
        let list = |directory: &Path| {
            let files = self.files.iter().filter(|(path, _)| path.parent() == Some(directory));
            let file = |(path, content): (&PathBuf, &Vec<u8>)| DirectoryFile {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                size: content.len() as u64,
            };
            let files: Vec<DirectoryFile> = files.map(file).collect();
            if files.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound)) } else { Ok(files) }
        };
        // A kubeconfig here is the number of its API server.
        let endpoint = |access: &Access| {
            let Access::Kubeconfig { paths, .. } = access else { return Err("no kubeconfig".to_owned()) };
            let text = String::from_utf8(read(&paths[0]).unwrap_or_default()).unwrap();
            text.trim().parse().map_err(|_| format!("{} is not a kubeconfig", paths[0].display()))
        };
        read_config(&Outside {
            variables,
            root,
            read: &read,
            contexts: &contexts,
            list: &list,
            endpoint: &endpoint,
        })
    }

    #[track_caller]
    fn config(&self) -> Config {
        self.parse().unwrap_or_else(|faults| panic!("{}", lines(&faults)))
    }

    /// The faults, each on a line of its own and cut where the pattern ends.
    #[track_caller]
    fn faults(&self, expected: &[&str]) {
        let faults = match self.parse() {
            Ok(config) => panic!("no fault in {config:#?}"),
            Err(faults) => faults,
        };
        let got: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let fits = got.len() == expected.len()
            && got.iter().zip(expected).all(|(got, start)| got.starts_with(start));
        assert!(fits, "got\n{}\nexpected\n{}", got.join("\n"), expected.join("\n"));
    }
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The faults of a text, each by its beginning; none means that it is good.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let case = case(text);
    if expected.is_empty() {
        case.config();
    } else {
        case.faults(expected);
    }
}
