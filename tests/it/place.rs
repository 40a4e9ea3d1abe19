//! An exchange with all its files on disk, as `concordat serve` runs it: in this process while it is set up and looked at,
//! and as a process of its own that can be killed. Time is the system's.

use std::{net::SocketAddr, path::PathBuf, process::Stdio};

use concordat::{
    cli::compose::{self, Options, Running},
    clock::{Clock, Entropy},
    identity::{
        channel::Connector,
        development::{DevelopmentAuthority, IssuedProfile},
        time::TimeSource,
    },
    ledger::segment,
    pb::{
        ledger::v1::AgencyKind, record::v1::LeaverForm,
        v1::exchange_service_client::ExchangeServiceClient,
    },
    service::server::Limits,
    store::{VERIFY_DEADLINE, Verifier},
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use tonic::transport::{Channel, Endpoint};

use crate::harness::{Agency, agree, by_duty, ledger_in};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_concordat");

/// Where an exchange lies.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) authority: DevelopmentAuthority,
    pub(crate) operator: IssuedProfile,
    pub(crate) clock: Clock,
}

impl Place {
    /// Founds an exchange that nobody takes part in yet.
    pub(crate) async fn found() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let now = clock.now();
        let authority = DevelopmentAuthority::create(&directory.path().join("certs"), now).unwrap();
        authority.issue_server(&[], now).unwrap();
        let operator = authority.issue_operator(now).unwrap();
        let place = Self { directory, authority, operator, clock };
        let fingerprint = place.operator.certificate.fingerprint;
        let entropy = Entropy::system();
        compose::found(&place.data(), fingerprint, &place.clock, &entropy).await.unwrap();
        place
    }

    /// Founds an exchange in which a council publishes to national bodies by duty, each with a subscription `leavers`.
    pub(crate) async fn of_partners(readers: &[&str]) -> Self {
        let place = Self::found().await;
        let running = place.run().await;
        let council = place.agency(&running, "council", AgencyKind::Council).await;
        council.join().await;
        let mut all = vec![council];
        for id in readers {
            let reader = place.agency(&running, id, AgencyKind::NationalBody).await;
            reader.join().await;
            all.push(reader);
        }
        let parties: Vec<_> = all.iter().collect();
        let [council, readers @ ..] = parties.as_slice() else { unreachable!("one was made") };
        let flows = vec![by_duty("duty", council, readers)];
        agree(place.clock.now(), "leavers", &parties, flows).await;
        for reader in readers {
            reader.subscribe_to("leavers").await;
        }
        drop(parties);
        drop(all);
        running.stop().await;
        place.let_go().await;
        place
    }

    /// Waits until an exchange of this process that was stopped holds the files no longer.
    async fn let_go(&self) {
        drop(ledger_in(&self.data(), segment::Options::default()).await);
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Runs the exchange in this process.
    pub(crate) async fn run(&self) -> Running {
        let program = PathBuf::from(PROGRAM);
        let options = Options {
            data: self.data(),
            tls: self.directory.path().join("certs"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            verifier: Verifier::ChildProcess { program, deadline: VERIFY_DEADLINE },
            clock: self.clock.clone(),
            entropy: Entropy::system(),
            limits: Limits::default(),
        };
        Running::start(options).await.unwrap()
    }

    /// Runs the exchange as a process of its own, and waits until it answers.
    pub(crate) async fn serve(&self) -> Process {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0", "--output", "ndjson", "--log", "error"])
            .arg("--data")
            .arg(self.data())
            .arg("--tls")
            .arg(self.directory.path().join("certs"))
            .arg("--home")
            .arg(self.directory.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines.next_line().await.unwrap().unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let address = told.get("endpoint").and_then(serde_json::Value::as_str).unwrap().to_owned();
        Process { child, address }
    }

    /// An agency with its profile, beside an exchange that runs in this process. It must be gone before the exchange can
    /// be started again.
    pub(crate) async fn agency(&self, running: &Running, id: &str, kind: AgencyKind) -> Agency {
        let name = id.parse().unwrap();
        let known = self.authority.profile(id);
        let profile =
            known.or_else(|_| self.authority.issue_agency(&name, self.clock.now())).unwrap();
        let channel = self.channel(id, &running.endpoint()).await;
        let part = (running.node().clone(), self.clock.clone(), Entropy::system());
        Agency::new(part, (name, kind), profile, channel)
    }

    /// Connects to `address` with the profile called `id`.
    pub(crate) async fn channel(&self, id: &str, address: &str) -> Channel {
        let time = TimeSource::fixed(self.clock.now());
        let connector = Connector::open(&self.authority.profile_directory(id), time).unwrap();
        let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
        endpoint.connect_with_connector(connector).await.unwrap()
    }

    /// A caller of the exchange service.
    pub(crate) async fn exchange(
        &self,
        id: &str,
        process: &Process,
    ) -> ExchangeServiceClient<Channel> {
        ExchangeServiceClient::new(self.channel(id, &process.address).await)
    }

    /// A new request id.
    pub(crate) fn request(&self) -> String {
        let id = Entropy::system().request_id(self.clock.now());
        uuid::Uuid::from_bytes(*id.as_bytes()).to_string()
    }

    /// The invented leaver's form, about another client for each number, dated in the past whatever day it is.
    pub(crate) fn form(&self, number: u32) -> LeaverForm {
        let now = i64::try_from(self.clock.now().millis()).unwrap();
        let today = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).unwrap()).date();
        let yesterday = today.checked_sub(1.day()).unwrap().to_string();
        let mut form = crate::harness::form(number);
        let core = form.core.get_or_insert_default();
        core.form_date = core.form_date.clone().min(yesterday);
        form
    }
}

/// An exchange that runs as a process.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    /// Ends the process as `kill -9` does, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// How much memory it holds, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.child.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }
}
