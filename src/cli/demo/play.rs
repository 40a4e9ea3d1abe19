//! The stage: the running exchange, everybody's desk, and what has happened so far.

use std::{collections::BTreeMap, env, path::PathBuf};

use jiff::civil::Date;
use prost::Message;

use crate::{
    cli::{
        compose,
        demo::{
            cast::{COLLEGE, COUNCIL, PROVIDER, RECORD_TYPE, SDS},
            desk::{Desk, Received},
            exchange::{Exchange, PORT},
            leavers::{Cohort, Leaver, Role, SEED},
            place::Place,
            teller::Teller,
        },
        error::{CliError, Exit},
        session::Caller,
        time,
    },
    clock::Clock,
    identity::development::{DevelopmentAuthority, IssuedProfile, OPERATOR},
    model::id::AgencyId,
    pb::record::v1::LeaverForm,
};

/// The stage.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) teller: Teller,
    pub(super) program: PathBuf,
    // Before its place, so that it has ended when the place goes.
    pub(super) exchange: Exchange,
    pub(super) place: Place,
    pub(super) caller: Caller,
    pub(super) today: Date,
    pub(super) cohort: Cohort,
    pub(super) operator: Desk,
    pub(super) council: Desk,
    pub(super) sds: Desk,
    pub(super) college: Desk,
    pub(super) provider: Desk,
    /// The profiles that the authority issued, by agency.
    pub(super) profiles: BTreeMap<&'static str, IssuedProfile>,
    /// What each recipient got, in order.
    pub(super) received: BTreeMap<&'static str, Vec<Received>>,
    /// The consents in force or not, by the council's id of the person.
    pub(super) consents: BTreeMap<String, String>,
    /// The present version of each published form, by the council's id of the person.
    pub(super) forms: BTreeMap<String, String>,
    /// Whose form each published version is.
    pub(super) versions: BTreeMap<String, String>,
    /// The field that was wrong in each refused row, by line of the file.
    pub(super) refused: BTreeMap<u64, String>,
}

impl Play {
    /// Makes keys, founds an exchange in `place`, starts it, and seats everybody.
    pub(super) async fn begin(
        caller: &Caller,
        teller: Teller,
        place: Place,
    ) -> Result<Self, CliError> {
        let program = env::current_exe().map_err(|cause| {
            CliError::new(Exit::Other, "this program does not know where it lies")
                .because(cause.to_string())
        })?;
        let now = Clock::system().now();
        let today = time::today(now)?;
        let registry = compose::registry()?;
        let broken = || CliError::new(Exit::Other, "the cohort cannot be made");
        let name = RECORD_TYPE.parse()?;
        let record_type = registry.record_type(&name).ok_or_else(broken)?;
        let cohort = Cohort::of(SEED, today, record_type).map_err(|_| broken())?;
        place.write(&cohort)?;
        let authority = DevelopmentAuthority::create(place.home(), now)?;
        authority.issue_server(&[], now)?;
        authority.issue_operator(now)?;
        let mut profiles = BTreeMap::new();
        for agency in [COUNCIL, SDS, COLLEGE, PROVIDER] {
            let id: AgencyId = agency.parse()?;
            profiles.insert(agency, authority.issue_agency(&id, now)?);
        }
        let exchange = Exchange::found(program.clone(), &place).await?;
        let endpoint = exchange.endpoint();
        place.point_to(&endpoint)?;
        if exchange.port() != PORT {
            teller.lines(&format!("Port {PORT} is taken, so the exchange listens at {endpoint}."));
        }
        let at = (place.home(), endpoint.as_str());
        let operator = Desk::open(caller, at, OPERATOR).await?;
        let council = Desk::open(caller, at, COUNCIL).await?;
        let sds = Desk::open(caller, at, SDS).await?;
        let college = Desk::open(caller, at, COLLEGE).await?;
        let provider = Desk::open(caller, at, PROVIDER).await?;
        let caller = caller.clone();
        Ok(Self {
            teller,
            program,
            place,
            caller,
            today,
            cohort,
            exchange,
            operator,
            council,
            sds,
            college,
            provider,
            profiles,
            received: BTreeMap::new(),
            consents: BTreeMap::new(),
            forms: BTreeMap::new(),
            versions: BTreeMap::new(),
            refused: BTreeMap::new(),
        })
    }

    /// Seats everybody anew: the connections of a killed exchange are gone.
    pub(super) async fn reconnect(&mut self) -> Result<(), CliError> {
        let endpoint = self.exchange.endpoint();
        self.place.point_to(&endpoint)?;
        let at = (self.place.home(), endpoint.as_str());
        self.operator = Desk::open(&self.caller, at, OPERATOR).await?;
        self.council = Desk::open(&self.caller, at, COUNCIL).await?;
        self.sds = Desk::open(&self.caller, at, SDS).await?;
        self.college = Desk::open(&self.caller, at, COLLEGE).await?;
        self.provider = Desk::open(&self.caller, at, PROVIDER).await?;
        Ok(())
    }

    /// Notes the present version of somebody's form.
    pub(super) fn published(&mut self, local_id: &str, record: String) {
        self.versions.insert(record.clone(), local_id.to_owned());
        self.forms.insert(local_id.to_owned(), record);
    }

    /// The first leaver who plays a part.
    pub(super) fn leaver(&self, role: Role) -> Result<Leaver, CliError> {
        self.cohort.with_role(role).cloned().ok_or_else(|| surprise("a part is not cast"))
    }

    /// How many forms ever reached a recipient: one for each person.
    pub(super) fn forms_at(&self, recipient: &str) -> usize {
        let received = self.received.get(recipient).into_iter().flatten();
        received.map(|received| &received.client).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Everything that waits for a recipient now is received and kept; gives what came.
    pub(super) async fn receive(
        &mut self,
        recipient: &'static str,
    ) -> Result<Vec<Received>, CliError> {
        let desk = match recipient {
            SDS => &self.sds,
            COLLEGE => &self.college,
            _provider => &self.provider,
        };
        let came = desk.receive().await?;
        self.received.entry(recipient).or_default().extend(came.iter().cloned());
        Ok(came)
    }

    /// Receives until at least `count` records came.
    pub(super) async fn receive_at_least(
        &mut self,
        recipient: &'static str,
        count: usize,
    ) -> Result<Vec<Received>, CliError> {
        let mut came = Vec::new();
        for _try in 0..TRIES {
            came.extend(self.receive(recipient).await?);
            if count <= came.len() {
                return Ok(came);
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Err(surprise(&format!("{recipient} got {} records and not {count}", came.len())))
    }
}

/// How long a release that is due may take to come: 200 times 50 ms.
const TRIES: u32 = 200;
const BETWEEN_TRIES: std::time::Duration = std::time::Duration::from_millis(50);

/// The form that came, as far as it came.
pub(super) fn form_of(received: &Received) -> Result<LeaverForm, CliError> {
    LeaverForm::decode(received.body.clone())
        .map_err(|_| surprise("a record came that is no leaver's form"))
}

/// Something did not happen as it must: the demo fails, loudly.
pub(super) fn surprise(what: &str) -> CliError {
    CliError::new(Exit::Other, format!("the demo did not go as it must: {what}"))
        .fixed_by("keep the directory by --keep DIR and report what is in its exchange.log")
}

/// Holds that something is so.
pub(super) fn hold(so: bool, what: &str) -> Result<(), CliError> {
    if so { Ok(()) } else { Err(surprise(what)) }
}

/// A number and its noun.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
