//! A cluster joins a running daemon and leaves it again, by kubefed's commands.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use fleetdns_tests::access::Access;
use fleetdns_tests::conf::{FLEET, name};
use fleetdns_tests::daemon::{Daemon, binary, cluster, fleetdns, fleetdns_with};
use fleetdns_tests::dns;
use fleetdns_tests::endpoint::Endpoint;
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::hostile::{Body, Hostile, Reply};
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::race::Race;
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::e2e_endpoint::{BACK, both};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_is_published_and_one_that_unjoins_leaves() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let daemon = Daemon::start(&fleet.conf().without("eastus").more("# the last line, a comment")).await;
    dns::wait_for(server, &name("calculatorlb", ""), "A", &[&west], BACK).await;
    let before = fs::read_to_string(daemon.conf_path()).unwrap();

    // What the config would refuse is refused, all at once, and nothing is written.
    let kubeconfig = fleet.east.kubeconfig().display().to_string();
    let with = ["--kubeconfig", &kubeconfig, "--host-cluster-context=westus", "--secret-name=east", "--v=4"];
    let bad = [&["join", "eastus", "--cluster-context=nosuch", "--zones=a b"][..], &with].concat();
    let refused = daemon.command(&bad).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for part in ["no context 'nosuch' in", "[cluster \"eastus\"] zones: 'a b'"] {
        assert!(refused.err.contains(part), "no {part:?}: {refused:?}");
    }
    assert_eq!(fs::read_to_string(daemon.conf_path()).unwrap(), before);
    fs::write(daemon.conf_path(), format!("{before}\n[nosuch]\n")).unwrap();
    let faulty = daemon.command(&["check", "-o", "json"]).await;
    assert_eq!((faulty.code, &faulty.json()[0]["good"]), (Some(2), &json!(false)), "{faulty:?}");
    fs::write(daemon.conf_path(), &before).unwrap();

    let join = [&["join", "eastus", "--cluster-context=eastus", "-o", "json"][..], &with].concat();
    let joined = daemon.command(&join).await;
    assert_eq!(joined.code, Some(0), "{joined:?}");
    assert_eq!(joined.json()["reload"]["changes"], json!(["cluster eastus added"]), "{joined:?}");
    assert!(joined.err.contains("ignored") && joined.err.contains("--host-cluster-context, --secret-name"));
    let after = fs::read_to_string(daemon.conf_path()).unwrap();
    assert!(after.starts_with(&before) && after.contains("\n[cluster \"eastus\"]\nkubeconfig = "), "{after}");
    both(&Race::start("a member joins", BACK), server, "calculatorlb", &west, &east).await;
    let table = daemon.command(&["get", "clusters", "--context=myfederation"]).await;
    let rows: Vec<Vec<&str>> = table.out.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(
        rows.iter().map(|row| row[..2].join(" ")).collect::<Vec<_>>(),
        ["NAME STATUS", "eastus Ready", "westus Ready"]
    );
    let yaml = daemon.command(&["get", "clusters", "-o", "yaml"]).await;
    let lines: Vec<serde_json::Value> = serde_saphyr::from_str(&yaml.out).unwrap();
    assert_eq!(lines.iter().map(|line| &line["status"]).collect::<Vec<_>>(), ["Ready", "Ready"], "{yaml:?}");
    let again = daemon.command(&join).await;
    let told = again.err.contains("CLUSTER: eastus has a section in") && !again.err.contains("in line");
    assert!(again.code == Some(2) && told, "{again:?}");

    // What a shell offers to complete.
    let conf = daemon.conf_path().display().to_string();
    for (words, expected) in [
        (&["drain", "-c", &conf, "cluster/"][..], "cluster/eastus\ncluster/westus\n"),
        (&["drain", "-c", &conf, "service/"], "service/default/calculatorlb\n"),
        (&["release-zone", "-c", &conf, "s"], "syncweek.com\n"),
        (
            &["why", "-c", &conf, "calculatorlb.default.myfederation.svc.s"],
            "calculatorlb.default.myfederation.svc.syncweek.com\n",
        ),
        (
            &["unj"],
            "unjoin\tRemove a cluster from dns.conf, and make a running daemon take its addresses out of DNS\n",
        ),
    ] {
        let line = [&["--", "fleetdns"][..], words].concat();
        let offered = fleetdns_with(&line, &[("FLEETDNS_COMPLETE", "fish")]).await;
        assert_eq!(offered.out, expected, "{offered:?}");
    }
    let script = fleetdns(&["completion", "bash"]).await;
    assert!(script.code == Some(0) && script.out.contains("FLEETDNS_COMPLETE=\"bash\""), "{script:?}");

    let unjoined = daemon.command(&["unjoin", "eastus", "--host-cluster-context=westus"]).await;
    assert_eq!(unjoined.code, Some(0), "{unjoined:?}");
    assert!(unjoined.out.contains("cluster eastus removed"), "{unjoined:?}");
    assert_eq!(fs::read_to_string(daemon.conf_path()).unwrap(), before);
    let race = Race::start("a member leaves", BACK);
    race.answers(server, &name("calculatorlb", ""), "A", &[&west]).await;
    race.answers(server, &name("calculatorlb", "eastus"), "A", &[]).await;
    race.done();
    assert_eq!(cluster(&daemon.status().await, "eastus")["inventory"], "removed");
    for (last, part) in [("eastus", "no [cluster \"eastus\"]"), ("westus", "is the last cluster")] {
        let refused = daemon.command(&["unjoin", last]).await;
        assert!(refused.code == Some(1) && refused.err.contains(part), "{refused:?}");
    }
}

const ACCOUNT: &str = "fleetdns-reader";

/// What the token controller of a cluster does: the Secret of the account gets its token.
pub(crate) async fn fill(client: Client) {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "fleetdns");
    let accounts: Api<ServiceAccount> = Api::namespaced(client, "fleetdns");
    while secrets.get(ACCOUNT).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let spec = TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let made = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await.unwrap();
    let token = ByteString(made.status.unwrap().token.into_bytes());
    let patch = Patch::Merge(json!({"data": {"token": token}}));
    secrets.patch(ACCOUNT, &PatchParams::default(), &patch).await.unwrap();
}

/// A command on a terminal, with these lines typed; what the terminal shows.
fn on_terminal(words: &[&str], typed: &str, kubeconfig: &str) -> String {
    // Nothing here runs longer. A shell that waits for its command would leave it in the background without --foreground, and
    // the terminal stops what reads there.
    let line = format!("timeout --foreground 18 {} {}", binary().display(), words.join(" "));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]);
    command.envs([("KUBECONFIG", kubeconfig), ("SHELL", "/bin/sh"), ("TERM", "xterm")]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // `script` ends before its command does when its input ends.
    let mut input = child.stdin.take().unwrap();
    input.write_all(typed.as_bytes()).unwrap();
    let shown = child.wait_with_output().unwrap().stdout;
    drop(input);
    String::from_utf8(shown).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn join_makes_an_account_and_its_kubeconfig() {
    let fleet = Fleet::start().await;
    let server = fleet.server();
    let [in_west, in_east] = [(); 2].map(|()| Endpoint::on_port(5001));
    let [west, east] = [&in_west, &in_east].map(|endpoint| endpoint.ip().to_string());
    fleet.publish(&NewService::new("default", "calculatorlb").port(5001), &west, &east).await;
    let daemon = Daemon::start(&fleet.conf().without("eastus")).await;
    let conf = daemon.conf_path();
    let made = conf.with_file_name("eastus.kubeconfig");
    let before = fs::read_to_string(&conf).unwrap();
    let unchanged = || fs::read_to_string(&conf).unwrap() == before && !made.exists();
    let kubeconfig = |access| fleet.east.kubeconfig_for(access).display().to_string();
    let (admin, reader) = (kubeconfig(Access::Admin), kubeconfig(Access::Reader));
    let join = async |kubeconfig: &str, more: &[&str]| {
        let words = ["join", "eastus", "--kubeconfig", kubeconfig, "--yes"];
        daemon.command(&[&words, more].concat()).await
    };

    // Each refusal says what to type, and changes nothing here.
    let shown = join(&admin, &["--dry-run"]).await;
    assert!(shown.out.contains(&format!("kubeconfig = {}", made.display())) && unchanged(), "{shown:?}");
    let refused = join(&reader, &[]).await;
    assert!(refused.code == Some(1) && unchanged(), "{refused:?}");
    for part in ["Namespace fleetdns (403)", "join eastus --print-rbac", "--cluster-context=CONTEXT --yes"] {
        assert!(refused.err.contains(part), "no {part:?} in {refused:?}");
    }
    let empty = join(&admin, &[]).await;
    assert!(empty.code == Some(1) && empty.err.contains("Secret fleetdns/fleetdns-reader has no token"));
    assert!(unchanged());
    let role = |verb| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": ACCOUNT},
               "rules": [{"apiGroups": [""], "resources": ["services", "nodes"], "verbs": [verb, "list", "watch"]}]})
    };
    fleet.east.apply(&role("delete")).await;
    let conflict = join(&admin, &[]).await;
    assert!(
        conflict.code == Some(1)
            && conflict.err.contains("ClusterRole fleetdns-reader is there with other values")
    );
    assert!(conflict.err.contains("kubectl --context=CONTEXT diff -f -") && unchanged(), "{conflict:?}");
    fleet.east.apply(&role("get")).await;

    fill(fleet.east.client()).await;
    let joined = join(&admin, &[]).await;
    assert_eq!(joined.code, Some(0), "{joined:?}");
    both(&Race::start("a member joins", BACK), server, "calculatorlb", &west, &east).await;
    let after = fs::read_to_string(&conf).unwrap();
    let section = format!("\n[cluster \"eastus\"]\nkubeconfig = {}\ncontext = eastus\n", made.display());
    assert_eq!(after, before.clone() + &section);
    assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o600);
    let file: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&made).unwrap()).unwrap();
    let token = file["users"][0]["user"]["token"].as_str().unwrap();
    assert!(token.len() > 100 && file["clusters"][0]["cluster"]["certificate-authority-data"].is_string());
    for text in [&joined.out, &joined.err, &daemon.log(), &daemon.status().await.to_string()] {
        assert!(!text.contains(token), "the token is shown");
    }
    let unjoined = daemon.command(&["unjoin", "eastus"]).await;
    assert_eq!(unjoined.code, Some(0), "{unjoined:?}");
    assert!(unjoined.err.contains("delete -f - && rm") && made.exists(), "{unjoined:?}");
    let again = join(&admin, &[]).await;
    assert!(again.code == Some(1) && again.err.contains("is there already"), "{again:?}");

    // A person is asked; who does not agree joins with the kubeconfig of their own.
    fs::remove_file(&made).unwrap();
    let path = conf.display().to_string();
    let words = ["join", "eastus", "-c", &path];
    let no = on_terminal(&words, "n\n", &admin);
    assert!(no.contains("ClusterRoleBinding fleetdns-reader") && no.contains("Make it? [y/N]"), "{no}");
    let written = fs::read_to_string(&conf).unwrap();
    assert!(written.contains(&format!("kubeconfig = {admin}\n")) && !made.exists(), "{no}\n{written}");
    daemon.command(&["unjoin", "eastus"]).await;
    let yes = on_terminal(&words, "y\n", &admin);
    assert!(yes.contains("account made") && yes.contains("cluster eastus joined"), "{yes}");
    assert!(made.exists() && !yes.contains(token), "{yes}");
    tokio::task::block_in_place(|| drop((in_west, in_east)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_shows_on_a_terminal_how_far_it_is() {
    let (fleet, folder) = (Fleet::start().await, tempfile::tempdir().unwrap());
    let (endpoint, silent) =
        (Endpoint::on_port(5001), Hostile::start(|_| Reply::json(Body::Held(Vec::new()))).await);
    let service = NewService::new("default", "calculatorlb").port(5001);
    fleet.west.create_published(&service, &[&endpoint.ip().to_string()]).await;
    let conf = fleet.conf().cluster("silent", &silent.kubeconfig(folder.path(), "silent"));
    let path = folder.path().join("dns.conf");
    fs::write(&path, conf.more("[brakes]\nstartup-timeout = 8s").text()).unwrap();
    let words = ["run", "-c", &*path.display().to_string()].map(str::to_owned);
    let shown =
        tokio::task::spawn_blocking(move || on_terminal(&words.each_ref().map(|word| &**word), "", ""));
    let shown = shown.await.unwrap();
    for part in ["first sync: 2/3 clusters listed, 1/1 zones read, 4 names written", "asked to stop"] {
        assert!(shown.contains(part), "no {part:?} in {shown:?}");
    }
    // It is over when the silent cluster is given up on, and its line is cleared.
    let (_, last) = shown.rsplit_once("first sync: ").unwrap();
    assert!(last.starts_with("3/3 clusters listed") && last.contains("asked to stop"), "{shown:?}");
    tokio::task::block_in_place(|| drop(endpoint));
}

/// Each says on a terminal what it waits for, and clears that before its answer.
#[tokio::test(flavor = "multi_thread")]
async fn plan_check_and_adopt_show_on_a_terminal_what_they_wait_for() {
    let (fleet, folder) = (Fleet::start().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("dns.conf");
    fs::write(&path, fleet.conf().text()).unwrap();
    let file = path.display().to_string();
    for (words, waits, answer) in [
        (&["plan"][..], "reading zones", "0 names change"),
        (&["check"], "clusters", "config"),
        (&["adopt", "--orphans"], "reading zones", "every record of ours is claimed"),
    ] {
        let words = words.iter().copied().chain(["-c", &file]).map(str::to_owned);
        let words: Vec<String> = words.collect();
        let shown = tokio::task::spawn_blocking(move || {
            on_terminal(&words.iter().map(|word| &**word).collect::<Vec<_>>(), "", "")
        });
        let shown = shown.await.unwrap();
        let (waiting, rest) = shown.split_once(waits).unwrap_or_else(|| panic!("no {waits:?} in {shown:?}"));
        assert!(!waiting.contains(answer) && rest.contains(answer), "{shown:?}");
        assert!(!rest.rsplit_once("\u{1b}[2K").unwrap().1.contains("reading"), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_section_does_not_remove_the_members_of_a_kubeconfig() {
    let fleet = Fleet::start().await;
    let kubeconfig = fleet.west.kubeconfig().display().to_string();
    let conf = fleet.conf().without("westus").without("eastus");
    let mut daemon = Daemon::spawn(&conf, &[("KUBECONFIG", &kubeconfig)]);
    daemon.ready(BACK).await;
    let before = fs::read_to_string(daemon.conf_path()).unwrap();
    let east = fleet.east.kubeconfig().display().to_string();
    let refused = daemon.command(&["join", "eastus", "--kubeconfig", &east]).await;
    assert!(refused.code == Some(1) && refused.err.contains("would remove westus"), "{refused:?}");
    assert_eq!(fs::read_to_string(daemon.conf_path()).unwrap(), before);
    // The same member, in a section: nothing is removed.
    let joined = daemon.command(&["join", "westus", "--kubeconfig", &kubeconfig]).await;
    assert!(joined.code == Some(0) && !joined.out.contains("removed"), "{joined:?}");
}

/// The command lines of the Kubefed guide, with `fleetdns` for `kubefed`, and `-c` for the place of the file.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_lines_of_the_guide_make_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let kubeconfig = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: {name}, cluster: {{server: 'https://127.0.0.1:9'}}}}]\n\
             users: [{{name: {name}, user: {{token: x}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\n"
        )
    };
    fs::write(path("config"), kubeconfig("westuscluster1")).unwrap();
    fs::write(path("east"), kubeconfig("eastuscluster1")).unwrap();
    let keys = "# of the guide\n[Global]\nsubscription-id = s\ntenant-id = t\nclient-id = c\nsecret = p#a;ss\nresourceGroup = fed-dns-rg\n";
    // As editors of Windows write it.
    fs::write(path("azure.conf"), format!("\u{feff}{keys}")).unwrap();
    let (provider_config, conf) =
        (format!("--dns-provider-config={}", path("azure.conf")), path("etc/dns.conf"));
    let init = [
        "init",
        FLEET,
        "--host-cluster-context=westuscluster1",
        "--dns-provider=azure-azuredns",
        "--dns-zone-name=syncweek.com",
        &provider_config,
        "--image=xtoph/hyperkube-amd64:xtoph.azuredns.2",
        "-c",
        &conf,
    ];
    let done = fleetdns(&init).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.out.contains("kind: ClusterRoleBinding") && done.err.contains("--host-cluster-context, --image")
    );
    let text = fs::read_to_string(&conf).unwrap();
    assert!(text.ends_with(&format!("\n{keys}")), "{text:?}");
    let again = fleetdns(&init).await;
    assert!(again.code == Some(1) && again.err.contains("exists already"), "{again:?}");
    assert_eq!(fs::read_to_string(&conf).unwrap(), text);

    let both = format!("{}:{}", path("config"), path("east"));
    for cluster in ["westuscluster1", "eastuscluster1"] {
        let context = format!("--cluster-context={cluster}");
        let join = ["join", cluster, "--host-cluster-context=westuscluster1", &context, "-c", &conf];
        let joined = fleetdns_with(&join, &[("KUBECONFIG", &both)]).await;
        assert_eq!(joined.code, Some(0), "{joined:?}");
        assert!(joined.out.contains("no daemon runs here"), "{joined:?}");
    }
    let text = fs::read_to_string(&conf).unwrap();
    assert_eq!(text.matches(&format!("kubeconfig = {both}\n")).count(), 2, "{text}");
    let unjoined =
        fleetdns(&["unjoin", "eastuscluster1", "--host-cluster-context=westuscluster1", "-c", &conf]).await;
    assert_eq!(unjoined.code, Some(0), "{unjoined:?}");
}
