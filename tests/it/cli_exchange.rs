//! The program against the program: an exchange that `serve` runs, and callers that are other processes.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_concordat");

/// An exchange in a process of its own; it ends with the test.
pub(crate) struct Exchange {
    pub(crate) home: TempDir,
    process: Child,
    endpoint: String,
    replayed: u64,
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or(Value::Null)
    }

    /// What the value holds at a path of names and places.
    pub(crate) fn text(&self, pointer: &str) -> String {
        self.json().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

fn program(home: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONCORDAT_")) {
        command.env_remove(name);
    }
    command.current_dir(home).arg("--home").arg(home).stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn serve(home: &Path) -> (Child, String, u64) {
    let mut command = program(home);
    command.args(["serve", "--data", "data", "--tls", ".", "--listen", "127.0.0.1:0"]);
    command.args(["-o", "ndjson", "--log", "error"]).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let endpoint = ready.get("endpoint").and_then(Value::as_str).unwrap_or_default().to_owned();
    (process, endpoint, ready.get("replayed").and_then(Value::as_u64).unwrap_or(u64::MAX))
}

impl Exchange {
    pub(crate) fn start(agencies: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let offline = |arguments: &[&str]| {
            let mut command = program(home.path());
            command.args(arguments);
            let ran = run(command);
            assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        };
        offline(&["certs", "create"]);
        offline(&["init", "--data", "data", "--tls", "."]);
        for (agency, _) in agencies {
            offline(&["certs", "issue", agency]);
        }
        let (process, endpoint, replayed) = serve(home.path());
        let exchange = Self { home, process, endpoint, replayed };
        for (agency, kind) in agencies {
            let invited = exchange.ok("operator", &["agency", "invite", agency, "--kind", kind]);
            let secret = invited.text("/secret");
            exchange.ok(agency, &["agency", "enrol", "--secret", &secret]);
        }
        exchange
    }

    /// Runs a verb as one caller.
    pub(crate) fn call(&self, caller: &str, arguments: &[&str]) -> Ran {
        let mut command = program(self.home.path());
        command.args(["--endpoint", &self.endpoint, "--as", caller, "-o", "json"]).args(arguments);
        run(command)
    }

    pub(crate) fn ok(&self, caller: &str, arguments: &[&str]) -> Ran {
        let ran = self.call(caller, arguments);
        assert_eq!(ran.code, 0, "{caller} {arguments:?}: {}", ran.stderr);
        ran
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The template's agreement, in force.
    pub(crate) fn agree(&self, parties: &[&str]) {
        fs::write(self.file("agreement.json"), self.ok("operator", &["agreement", "new"]).stdout)
            .unwrap();
        let first = parties.first().unwrap();
        self.ok(first, &["agreement", "check", "-f", "agreement.json"]);
        self.ok(first, &["agreement", "draft", "leavers", "-f", "agreement.json"]);
        let preview = self.ok(first, &["agreement", "preview", "leavers"]);
        assert_eq!(preview.json().as_array().map(Vec::len), Some(2), "{}", preview.stdout);
        self.ok(first, &["agreement", "propose", "leavers"]);
        for party in parties {
            let signs = ["--office", "director", "--authority", "delegation"];
            let approve = ["agreement", "approve", "leavers"];
            self.ok(party, &[&approve[..], &signs[..]].concat());
        }
        let shown = self.ok(first, &["agreement", "show", "leavers"]);
        assert_eq!(shown.text("/state"), "active");
        assert!(shown.stdout.contains("impact assessment IC-2025-14"), "{}", shown.stdout);
        let told = self.ok(first, &["notice", "ls"]);
        assert_eq!(told.text("/0/agreement/event"), "approved");
    }

    /// Asks the process to end, and gives its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(asked.success());
        self.process.wait().unwrap().code()
    }

    pub(crate) fn serve_again(&mut self) {
        (self.process, self.endpoint, self.replayed) = serve(self.home.path());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) const PARTIES: [(&str, &str); 3] = [
    ("inverclyde-council", "council"),
    ("skills-development-scotland", "national-body"),
    ("glen-college", "college"),
];
pub(crate) const COUNCIL: &str = "inverclyde-council";
pub(crate) const SDS: &str = "skills-development-scotland";

#[test]
fn an_import_is_put_right_and_repeated_and_publishes_each_record_once() {
    let mut exchange = Exchange::start(&PARTIES);
    exchange.agree(&PARTIES.map(|(agency, _)| agency));
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/record.in/mixed.csv");
    fs::copy(template, exchange.file("mixed.csv")).unwrap();

    let first = exchange.call(COUNCIL, &["record", "import", "mixed.csv"]);
    assert_eq!((first.code, &first.json()["published"]), (5, &Value::from(1)), "{}", first.stderr);
    let rejects = fs::read_to_string(exchange.file("mixed.csv.rejects.csv")).unwrap();
    assert!(rejects.contains("'=HYPERLINK(1)"), "{rejects}");

    // In place: the two bad rows are put right, the third repeats the first and stays rejected.
    let table = fs::read_to_string(exchange.file("mixed.csv")).unwrap();
    let table = table.replace("2031-01-01", "2011-07-01").replace("=HYPERLINK(1)", "Ailsa");
    fs::write(exchange.file("mixed.csv"), table).unwrap();
    for _ in 0..2 {
        let again = exchange.call(COUNCIL, &["record", "import", "mixed.csv"]);
        assert_eq!(again.json()["published"], 3, "{}", again.stderr);
        assert_eq!(again.json()["rejected"], 1);
    }
    let published = ["ledger", "ls", "--kind", "publish_record"];
    let entries = exchange.ok(COUNCIL, &published).json();
    assert_eq!(entries.as_array().map(Vec::len), Some(3));

    let watched = exchange.ok(SDS, &["record", "watch", "--limit", "3", "-o", "ndjson"]);
    assert_eq!(watched.stdout.lines().count(), 3);
    assert!(watched.stdout.contains("\"forename\":\"Ailsa\""));
    let parked = exchange.ok(SDS, &["record", "pull", "watch"]);
    assert_eq!(parked.json(), Value::Array(Vec::new()), "all is acknowledged");

    // Stopping is clean, nothing is replayed, and a repetition still publishes nothing.
    assert_eq!(exchange.terminate(), Some(0));
    exchange.serve_again();
    assert_eq!(exchange.replayed, 0);
    assert_eq!(exchange.call(COUNCIL, &["record", "import", "mixed.csv"]).json()["published"], 3);
    let entries = exchange.ok(COUNCIL, &published).json();
    assert_eq!(entries.as_array().map(Vec::len), Some(3));
    assert_eq!(exchange.ok("operator", &["ledger", "verify", "data", "--decide"]).code, 0);
}

#[test]
fn an_agreement_is_checked_changed_compared_and_suspended_with_a_reason() {
    let exchange = Exchange::start(&PARTIES);
    let parties = PARTIES.map(|(agency, _)| agency);
    exchange.agree(&parties);
    let mut shown = exchange.ok(COUNCIL, &["agreement", "show", "leavers"]).json();
    let terms = shown.pointer_mut("/content/terms").unwrap().as_object_mut().unwrap();
    let indicators = terms.remove("indicators").unwrap();
    terms.insert("review_months".to_owned(), Value::from(6));
    fs::write(exchange.file("next.json"), shown.to_string()).unwrap();
    let checked = exchange.call(COUNCIL, &["agreement", "check", "-f", "next.json"]);
    assert_eq!(checked.code, 5, "{}", checked.stderr);
    assert_eq!(checked.text("/0/code"), "INDICATOR_MISSING");
    assert!(checked.text("/0/rule").starts_with("G3"), "{}", checked.stdout);
    exchange.ok(COUNCIL, &["agreement", "draft", "leavers", "-f", "next.json"]);
    let refused = exchange.call(COUNCIL, &["agreement", "propose", "leavers"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("AGREEMENT_INCOMPLETE"), "{}", refused.stderr);

    let terms = shown.pointer_mut("/content/terms").unwrap().as_object_mut().unwrap();
    terms.insert("indicators".to_owned(), indicators);
    fs::write(exchange.file("next.json"), shown.to_string()).unwrap();
    exchange.ok(COUNCIL, &["agreement", "draft", "leavers", "-f", "next.json"]);
    exchange.ok(COUNCIL, &["agreement", "check", "leavers"]);
    let differs = exchange.ok(SDS, &["agreement", "diff", "leavers"]).json();
    let expected = serde_json::json!([{"field": "terms.review_months", "from": 12, "to": 6}]);
    assert_eq!(differs, expected);
    exchange.ok(COUNCIL, &["agreement", "propose", "leavers"]);
    let decline = ["agreement", "decline", "leavers", "--reason", "terms-disputed"];
    exchange.ok(SDS, &decline);
    assert_eq!(exchange.ok(SDS, &["agreement", "show", "leavers"]).text("/state"), "declined");
    let first = exchange.ok(SDS, &["agreement", "show", "leavers", "--version", "1"]);
    assert_eq!(first.text("/state"), "active");

    let bare = exchange.call(SDS, &["agreement", "suspend", "leavers"]);
    assert!(bare.stderr.contains("SUSPENSION_REASON_MISSING"), "{}", bare.stderr);
    exchange.ok(SDS, &["agreement", "suspend", "leavers", "--reason", "incident"]);
    let told = exchange.ok(COUNCIL, &["notice", "ls"]).json();
    let last = told.as_array().and_then(|notices| notices.last()).unwrap();
    assert_eq!(last.pointer("/agreement/suspend_reason"), Some(&Value::from("incident")));
}

#[test]
fn what_fails_says_so_by_its_exit_code_and_in_words() {
    let exchange = Exchange::start(&PARTIES[..1]);
    let unknown = "00112233445566778899aabbccddeeff";
    for (caller, arguments, code, reason) in [
        (COUNCIL, &["record", "get", unknown][..], 3, "NOT_AVAILABLE"),
        (COUNCIL, &["agency", "suspend", COUNCIL][..], 4, "CALLER_NOT_ALLOWED"),
        ("operator", &["agency", "invite", COUNCIL, "--kind", "council"][..], 6, "AGENCY_EXISTS"),
        (COUNCIL, &["record", "import", "none.csv"][..], 3, "cannot be used"),
        (COUNCIL, &["consent", "withdraw", "nonsense"][..], 5, "MALFORMED_ID"),
    ] {
        let ran = exchange.call(caller, arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "words go to standard error");
    }
    let mut nowhere = program(exchange.home.path());
    nowhere.args(["--endpoint", "https://localhost:1", "--as", COUNCIL, "agency", "ls"]);
    assert_eq!(run(nowhere).code, 7);

    exchange.ok("operator", &["certs", "revoke", COUNCIL]);
    // The exchange reads the list every two seconds; each of these calls opens a connection of its own.
    let turned_away = (0..2_000).any(|_| {
        let ran = exchange.call(COUNCIL, &["agency", "ls"]);
        assert!([0, 4].contains(&ran.code), "{}", ran.stderr);
        ran.code == 4
    });
    assert!(turned_away);
    // The first one may have been turned away on a connection that was open already; this one is not let in.
    let told = exchange.call(COUNCIL, &["agency", "ls"]);
    assert_eq!(told.code, 4, "{}", told.stderr);
    assert!(told.stderr.contains("certificate_revoked"), "{}", told.stderr);
}

#[test]
fn an_agency_signs_with_its_new_key_after_a_rotation() {
    let exchange = Exchange::start(&PARTIES[..1]);
    let before = exchange.ok(COUNCIL, &["agency", "show"]).text("/signing_key");
    exchange.ok(COUNCIL, &["agency", "rotate"]);
    let after = exchange.ok(COUNCIL, &["agency", "show"]).text("/signing_key");
    assert_ne!(before, after);
    assert!(!exchange.file("profiles/inverclyde-council/signing.next.key").exists());
    let policy = "forbid(principal, action, resource) when { resource.group == \"support\" };";
    fs::write(exchange.file("narrow.cedar"), policy).unwrap();
    exchange.ok(COUNCIL, &["policy", "put", "narrow", "-f", "narrow.cedar"]);
    let listed = exchange.ok(COUNCIL, &["policy", "ls"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    exchange.ok(COUNCIL, &["policy", "remove", "narrow"]);
}

#[test]
fn a_record_is_corrected_disputed_retracted_and_its_recall_answered() {
    let exchange = Exchange::start(&PARTIES);
    exchange.agree(&PARTIES.map(|(agency, _)| agency));
    let template = exchange.ok(COUNCIL, &["record", "template", "leaver-form"]);
    fs::write(exchange.file("form.json"), template.stdout).unwrap();
    let published = exchange.ok(COUNCIL, &["record", "publish", "-f", "form.json"]);
    let (record, client) = (published.text("/record"), published.text("/client"));
    exchange.ok(SDS, &["record", "watch", "--limit", "1", "-o", "ndjson"]);

    let seen = exchange.ok(COUNCIL, &["client", "who-saw", &client]);
    assert_eq!(seen.text("/0/recipient"), format!("agencies/{SDS}"));
    let status = exchange.ok(COUNCIL, &["record", "status", &record]);
    assert_eq!(status.json().pointer("/disclosures/0/acknowledged"), Some(&Value::Bool(true)));

    let open = ["dispute", "open", &record, "--group", "core", "--reason", "inaccurate"];
    let dispute = exchange.ok(SDS, &open).text("/name");
    let bare = exchange.call(COUNCIL, &["record", "correct", "-f", "form.json"]);
    assert_eq!(bare.code, 2, "{}", bare.stderr);
    let correct = ["record", "correct", "-f", "form.json", "--supersedes", &record];
    let corrected = exchange.ok(COUNCIL, &correct).text("/record");
    let answer = ["dispute", "answer", &dispute, "--answer", "corrected"];
    assert_eq!(exchange.ok(COUNCIL, &answer).text("/answer"), "corrected");
    assert_eq!(exchange.ok(SDS, &["dispute", "ls"]).json(), Value::Array(Vec::new()));
    assert_eq!(
        exchange.ok(COUNCIL, &["dispute", "ls", "--published", "--all"]).text("/0/name"),
        dispute
    );

    let told = exchange.ok(SDS, &["record", "watch", "--limit", "1", "-o", "ndjson"]);
    assert!(told.stderr.contains("was corrected"), "{}", told.stderr);
    exchange.ok(COUNCIL, &["record", "retract", &corrected, "--reason", "wrong-person"]);
    let listed = exchange.ok(SDS, &["recall", "ls"]).json();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names.len(), 2, "the correction is not answered either: {listed}");
    let owed = exchange.ok(COUNCIL, &["recall", "ls", "--issued"]).json();
    assert_eq!(owed.as_array().map(Vec::len), Some(2), "{owed}");
    for name in &names {
        exchange.ok(SDS, &["recall", "ack", name.as_str().unwrap(), "--act", "deleted"]);
    }
    let owed = exchange.ok(COUNCIL, &["recall", "ls", "--issued", "--record", &record]).json();
    assert_eq!(owed, Value::Array(Vec::new()));
    let again =
        exchange.call(SDS, &["recall", "ack", names[0].as_str().unwrap(), "--act", "deleted"]);
    assert_eq!(again.code, 6, "{}", again.stderr);
    assert!(again.stderr.contains("RECALL_WRONG_STATE"), "{}", again.stderr);

    let certificate = exchange.ok(COUNCIL, &["recall", "certificate", &record]);
    fs::write(exchange.file("certificate.txt"), certificate.text("/certificate")).unwrap();
    let other = "00".repeat(32);
    let forged = exchange.call(COUNCIL, &["recall", "verify", "certificate.txt", "--key", &other]);
    assert_eq!(forged.code, 5, "{}", forged.stderr);
}

const COLLEGE: &str = "glen-college";
const NOTICE: &str = "a3f1b2c4d5e6f708192a3b4c5d6e7f80a3f1b2c4d5e6f708192a3b4c5d6e7f80";

#[test]
fn consents_are_imported_once_and_one_is_receipted_verified_exported_and_withdrawn() {
    let exchange = Exchange::start(&PARTIES);
    exchange.agree(&PARTIES.map(|(agency, _)| agency));
    let header =
        "local_id,said,group,recipient,gate,grantor,authority,view,age,leaves,turns-16,notice";
    let row = |id: &str, who: &str| {
        format!("{id},yes,core,{COLLEGE},data-protection-consent,{who},{NOTICE}\n")
    };
    let table = [
        format!("{header}\n"),
        row("one", "self,,,17,,"),
        row("two", "parent,not-known,agrees,9,,"),
        row("three", "self,,,old,,"),
        format!("four,no,core,{COLLEGE},data-protection-consent,self,,,15,,,{NOTICE}\n"),
    ];
    fs::write(exchange.file("said.csv"), table.concat()).unwrap();
    for _ in 0..2 {
        let ran = exchange.call(COUNCIL, &["consent", "import", "said.csv"]);
        assert_eq!((ran.code, &ran.json()["recorded"]), (5, &Value::from(2)), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("row 3: ") && ran.stderr.contains("CONSENT_AUTHORITY_NOT_KNOWN")
        );
        assert!(ran.stderr.contains("row 4: ") && ran.stderr.contains("--age"), "{}", ran.stderr);
    }
    let rejects = fs::read_to_string(exchange.file("said.csv.rejects.csv")).unwrap();
    assert_eq!(rejects.lines().count(), 3, "{rejects}");
    let listed = exchange.ok(COUNCIL, &["consent", "ls"]);
    assert_eq!(listed.json().as_array().map(Vec::len), Some(2), "{}", listed.stdout);
    let consent = listed.text("/1/name");

    let receipt = exchange.ok(COUNCIL, &["consent", "receipt", &consent]).stdout;
    fs::write(exchange.file("receipt.json"), &receipt).unwrap();
    let verified = exchange.ok(COUNCIL, &["consent", "verify", "receipt.json"]);
    assert_eq!(
        (verified.text("/record"), verified.text("/state")),
        (consent.clone(), "IN_FORCE".to_owned())
    );
    let key = verified.text("/key");
    exchange.ok(COUNCIL, &["consent", "verify", "receipt.json", "--key", &key]);
    fs::write(exchange.file("forged.json"), receipt.replace("IN_FORCE", "EXPIRED")).unwrap();
    let forged = exchange.call(COUNCIL, &["consent", "verify", "forged.json", "--key", &key]);
    assert_eq!(forged.code, 5, "{}", forged.stderr);

    let exported = exchange.ok(COUNCIL, &["consent", "export", &consent, "--fhir"]);
    assert_eq!(
        (exported.text("/resourceType"), exported.text("/status")),
        ("Consent".to_owned(), "active".to_owned())
    );
    exchange.ok(COUNCIL, &["consent", "withdraw", &consent, "--group", "core"]);
    let exported = exchange.ok(COUNCIL, &["consent", "export", &consent, "--fhir"]);
    assert_eq!(exported.text("/status"), "inactive");
}

#[test]
fn who_speaks_for_a_client_is_recorded_and_a_dispute_is_decided() {
    let exchange = Exchange::start(&PARTIES);
    exchange.agree(&PARTIES.map(|(agency, _)| agency));
    let added = exchange.ok(COUNCIL, &["caseload", "add-client", "--local-id", "one"]);
    let client = added.text("/client");
    let add =
        ["consent", "holder", "add", "--client", &client, "--grantor-name", "Ailsa Larkfield"];
    let mother = exchange.ok(COUNCIL, &add).text("/name");
    let father = exchange.ok(COUNCIL, &add).text("/name");
    let said = |word: &str, holder: &str| {
        let arguments = [
            "consent",
            word,
            "--client",
            &client,
            "--group",
            "core",
            "--recipient",
            COLLEGE,
            "--gate",
            "data-protection-consent",
            "--grantor",
            "parent",
            "--authority",
            "seen",
            "--view",
            "agrees",
            "--age",
            "3",
            "--turns-12",
            "2099-01",
            "--notice",
            NOTICE,
            "--holder",
            holder,
        ];
        exchange.call(COUNCIL, &arguments)
    };
    let unlikely = said("record", &mother);
    assert_eq!(unlikely.code, 6);
    assert!(unlikely.stderr.contains("CONSENT_REVIEW_MISSING"), "{}", unlikely.stderr);
    let refused = said("refuse", &father);
    assert_eq!(refused.code, 0, "{}", refused.stderr);
    let name = refused.text("/name");
    let resolve = ["--resolution", "set-aside", "--ground", "best-interests", "--view", "agrees"];
    let resolved =
        exchange.ok(COUNCIL, &[&["consent", "resolve", name.as_str()][..], &resolve].concat());
    assert_eq!(resolved.text("/state"), "set-aside");
    let set = ["consent", "holder", "set", &father, "--client", &client, "--without-rights"];
    exchange.ok(COUNCIL, &set);
    assert!(said("refuse", &father).stderr.contains("CONSENT_WITHOUT_RIGHTS"));
    let people = exchange.ok(COUNCIL, &["consent", "holder", "ls", "--client", &client]).json();
    assert_eq!(people.as_array().map(Vec::len), Some(2));
}
