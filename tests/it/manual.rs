//! The command blocks of the README and of the operators' pages, run as they stand there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use fleetdns_tests::conf::name;
use fleetdns_tests::daemon::{Daemon, binary};
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;

use crate::e2e_adopt::external_dns;
use crate::e2e_endpoint::BACK;

const PAGES: [(&str, &str); 2] = [
    ("README.md", include_str!("../../README.md")),
    ("config/README.md", include_str!("../../config/README.md")),
];

/// Blocks that other tests run, by how they begin.
const ELSEWHERE: [(&str, &str); 9] = [
    ("tests/demo", "tests/packages runs the demo"),
    ("tests/run", "it is what runs this"),
    ("fleetdns run --federation-name", "config::tests: the guide's file and flags"),
    ("config/debian/build", "tests/packages"),
    ("config/image/build", "tests/packages"),
    ("helm install", "e2e_install"),
    ("kubectl apply -k", "e2e_install"),
    (
        "fleetdns init myfederation --dns-provider=azure-azuredns --dns-zone-name=syncweek.com --dns-provider-config=azure.conf",
        "e2e_members",
    ),
    ("kubectl --context=westus -n fleetdns delete lease", "nothing of ours"),
];
/// Lines that other tests run: they need what this daemon must not have.
const LINES: [&str; 3] = ["fleetdns run", "fleetdns init", "fleetdns join westus --cluster-context=westus"];
/// Programs of others, whose place something empty takes.
const OTHERS: [&str; 6] = ["kubectl", "systemctl", "apt", "rm", "etcdctl", "az"];

/// The lines of each block of shell commands, with where it is.
fn blocks() -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    for (page, text) in PAGES {
        let mut open: Option<(String, Vec<String>)> = None;
        for (at, line) in text.lines().enumerate() {
            match (line.trim(), &mut open) {
                ("```sh", None) => open = Some((format!("{page}:{}", at + 1), Vec::new())),
                ("```", Some(_)) => blocks.extend(open.take()),
                (line, Some((_, lines))) => match lines.last_mut() {
                    Some(last) if last.ends_with('\\') => {
                        last.pop();
                        last.push_str(line);
                    }
                    _ => lines.push(line.to_owned()),
                },
                _ => {}
            }
        }
    }
    blocks
}

/// A folder of programs: ours with its configuration, and those of others.
fn programs(folder: &Path, conf: &Path) {
    let ours = format!("#!/bin/sh\nexec {} \"$@\" -c {}\n", binary().display(), conf.display());
    let others = "#!/bin/sh\n[ -t 0 ] || exec /bin/cat >/dev/null\n".to_owned();
    let all = OTHERS.map(|name| (name, &others)).into_iter().chain([("fleetdns", &ours)]);
    for (name, text) in all {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn run(line: &str, folder: &Path) -> Output {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", line])
        .env("PATH", folder)
        .env_remove("KUBECONFIG")
        .stdin(std::process::Stdio::null());
    tokio::task::block_in_place(|| command.output()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_commands_does_what_the_pages_say() {
    let mut fleet = Fleet::start().await;
    external_dns(&mut fleet).await;
    let [in_west, in_east, one, other] = [(); 4].map(|()| Endpoint::on_port(5001));
    let [west, east, one_ip, other_ip] =
        [&in_west, &in_east, &one, &other].map(|endpoint| endpoint.ip().to_string());
    let web =
        NewService::new("default", "web").port(5001).annotation("fleetdns.io/hostname", "web.syncweek.com");
    fleet.publish(&web, &west, &east).await;
    fleet.west.create_published(&NewService::new("default", "pair").port(5001), &[&one_ip, &other_ip]).await;
    let mut daemon = Daemon::start(&fleet.conf().more("[brakes]\ndrift = 2s")).await;
    let race = Race::start("published", BACK);
    race.answers(fleet.server(), &name("web", ""), "A", &[&west, &east]).await;
    race.answers(fleet.server(), &name("pair", ""), "A", &[&one_ip, &other_ip]).await;
    race.done();
    let folder = tempfile::tempdir().unwrap();
    programs(folder.path(), &daemon.conf_path());

    let (mut runs, mut elsewhere) = (0, Vec::new());
    for (place, lines) in blocks() {
        if let Some((begin, _)) = ELSEWHERE.iter().find(|(begin, _)| lines[0].starts_with(begin)) {
            elsewhere.push(*begin);
            continue;
        }
        if lines[0].starts_with("systemctl disable") {
            daemon.terminate().await;
        }
        for line in lines.iter().filter(|line| !LINES.iter().any(|begin| line.starts_with(begin))) {
            let line = line.replace("example.com", "syncweek.com").replace("203.0.113.7", &one_ip);
            let expected: &[i32] = match &*line {
                line if line.starts_with("fleetdns plan") => &[0, 2],
                // There is none.
                line if line.starts_with("fleetdns confirm-outage") => &[1],
                _ => &[0],
            };
            let done = run(&line, folder.path());
            assert!(
                done.status.code().is_some_and(|code| expected.contains(&code)),
                "{place}: {line}: {done:?}"
            );
            runs += 1;
        }
    }
    assert!(runs > 15, "{runs} lines were run");
    let all = ELSEWHERE.map(|(begin, _)| begin);
    assert!(all.iter().all(|begin| elsewhere.contains(begin)), "one of these is on no page: {all:?}");
    tokio::task::block_in_place(|| drop((in_west, in_east, one, other)));
}
