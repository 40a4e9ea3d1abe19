//! One caller's conversation with an exchange: the channel, who acts and why, request ids and signatures.

use std::time::Duration;

use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::{
    cli::{
        error::{CliError, Exit},
        hex,
        output::Output,
        profile::Profile,
    },
    clock::{Clock, Entropy},
    config::Settings,
    identity::{channel::Connector, signing::SigningKey, time::TimeSource},
    model::{
        id::{AgencyId, LedgerId, RequestId},
        order::UnixMillis,
    },
    node,
    pb::{
        ledger::v1 as ledger,
        v1::{self as pb, ledger_service_client::LedgerServiceClient, request_context},
    },
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The greatest number of rows of one page.
pub(crate) const PAGE_ROWS: i32 = 100;

/// A conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) output: Output,
    pub(crate) profile: Profile,
    channel: Channel,
    endpoint: String,
    context: pb::RequestContext,
    clock: Clock,
    entropy: Entropy,
}

/// Who calls, how answers are printed, and the purpose if it was given.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) purpose: Option<i32>,
}

/// How a change is asked for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Change {
    /// Check the request against the present state and change nothing.
    #[arg(long)]
    pub(crate) validate_only: bool,
    /// The name of the request, a UUIDv7. Repeat a request under its old name and it takes effect once.
    #[arg(long, value_name = "UUID", value_parser = request_id)]
    pub(crate) request_id: Option<RequestId>,
}

/// Reads a request id in its text form.
fn request_id(text: &str) -> Result<RequestId, String> {
    let id = uuid::Uuid::parse_str(text).map(|uuid| RequestId::from_bytes(uuid.into_bytes()));
    id.ok().filter(|id| id.unix_millis().is_some()).ok_or_else(|| "give a UUIDv7".to_owned())
}

/// A request id in its text form.
pub(crate) fn request_text(id: RequestId) -> String {
    uuid::Uuid::from_bytes(*id.as_bytes()).to_string()
}

impl Session {
    /// Connects as the chosen caller, for `purpose` unless another one was given.
    pub(crate) async fn open(caller: &Caller, purpose: ledger::Purpose) -> Result<Self, CliError> {
        let Caller { settings, output, purpose: given } = caller;
        let profile = Profile::chosen(settings)?;
        let endpoint = profile.endpoint(settings);
        let clock = Clock::system();
        let time = {
            let clock = clock.clone();
            TimeSource::new(move || clock.now())
        };
        let connector = Connector::open(profile.directory(), time)?;
        let malformed = |cause: tonic::transport::Error| {
            CliError::new(Exit::Usage, format!("`{endpoint}` is no address of an exchange"))
                .because(cause.to_string())
                .fixed_by("give an address such as https://localhost:8443")
        };
        let channel = Endpoint::from_shared(endpoint.clone())
            .map_err(malformed)?
            .connect_timeout(CONNECT_TIMEOUT)
            .connect_with_connector(connector)
            .await
            .map_err(|cause| CliError::connect(&endpoint, &cause))?;
        let actor = match &settings.staff {
            None => request_context::Actor::Unattended(true),
            Some((staff_id, role)) => request_context::Actor::Staff(ledger::ActorDetail {
                staff_id: staff_id.clone(),
                role: role.clone(),
                office: 0,
            }),
        };
        let context = pb::RequestContext {
            purpose: given.unwrap_or_else(|| purpose.into()),
            actor: Some(actor),
            held_checkpoint: String::new(),
        };
        let (output, entropy) = (*output, Entropy::system());
        Ok(Self { output, profile, channel, endpoint, context, clock, entropy })
    }

    /// The channel, for a stub.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The address of the exchange.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Who acts and why.
    #[expect(clippy::unnecessary_wraps, reason = "every request's field is optional on the wire")]
    pub(crate) fn context(&self) -> Option<pb::RequestContext> {
        Some(self.context.clone())
    }

    /// The present time.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The source of random bytes.
    pub(crate) fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// The name of the request: the one given, or a new one.
    pub(crate) fn request(&self, change: &Change) -> RequestId {
        change.request_id.unwrap_or_else(|| self.entropy.request_id(self.clock.now()))
    }

    /// A new request's name in its text form.
    pub(crate) fn new_request(&self) -> String {
        request_text(self.entropy.request_id(self.clock.now()))
    }

    /// The agency that calls.
    pub(crate) fn agency(&self) -> Result<AgencyId, CliError> {
        self.profile.agency()
    }

    /// What the exchange's ledger is.
    pub(crate) async fn ledger(&self) -> Result<pb::Ledger, CliError> {
        let request = pb::GetLedgerRequest { context: self.context() };
        let answer = LedgerServiceClient::new(self.channel()).get_ledger(request).await?;
        answer.into_inner().ledger.ok_or_else(incomplete)
    }

    /// Signs a command with the profile's own key.
    pub(crate) async fn sign(
        &mut self,
        request: RequestId,
        kind: &ledger::command::Kind,
    ) -> Result<Option<ledger::Signature>, CliError> {
        let key = self.profile.signing_key()?;
        self.sign_with(&key, request, kind).await
    }

    /// Signs a command with `key`, for the ledger that this profile has always signed for.
    pub(crate) async fn sign_with(
        &mut self,
        key: &SigningKey,
        request: RequestId,
        kind: &ledger::command::Kind,
    ) -> Result<Option<ledger::Signature>, CliError> {
        let agency = self.agency()?;
        let id = LedgerId::from_slice(&self.ledger().await?.ledger_id)?;
        self.profile.hold_ledger(&id.to_string())?;
        let statement = node::statement(id, &agency, request, kind)?;
        let value = key.sign(&statement)?;
        Ok(Some(ledger::Signature {
            key_fingerprint: key.fingerprint().as_bytes().to_vec().into(),
            value: value.to_vec().into(),
        }))
    }

    /// Prints the answer to a change; what was only checked has none.
    pub(crate) fn changed<M: prost::Message>(
        &self,
        change: &Change,
        name: &str,
        answer: Option<&M>,
    ) -> Result<(), CliError> {
        match answer {
            _ if change.validate_only => {
                crate::cli::output::words("valid; nothing was changed");
                Ok(())
            }
            Some(answer) => self.output.one(&crate::cli::json::of(name, answer)),
            None => Err(incomplete()),
        }
    }
}

/// Every row of a list, page by page.
pub(crate) async fn every_row<T, F>(mut page: F) -> Result<Vec<T>, CliError>
where
    F: AsyncFnMut(String) -> Result<(Vec<T>, String), Status>,
{
    let (mut rows, mut token) = (Vec::new(), String::new());
    loop {
        let (more, next) = page(token).await?;
        rows.extend(more);
        if next.is_empty() {
            return Ok(rows);
        }
        token = next;
    }
}

/// The error of a change whose answer did not arrive: repeating it under its name is safe.
pub(crate) fn unanswered(status: Status, request: RequestId) -> CliError {
    let mut error = CliError::from(status);
    if error.exit == Exit::Unavailable {
        let id = request_text(request);
        error.why.push("whether the request took effect is told by repeating it".to_owned());
        error.fix = format!("repeat the command with --request-id {id}: it takes effect once");
    }
    error
}

/// The exchange answered without what the answer is about.
pub(crate) fn incomplete() -> CliError {
    CliError::new(Exit::Other, "the exchange's answer is incomplete")
        .fixed_by("use a program of the exchange's own release")
}

/// The 32 bytes of a digest given in hexadecimal digits.
pub(crate) fn digest(text: &str) -> Result<Vec<u8>, String> {
    let bytes = hex::parse(text).filter(|bytes| bytes.len() == 32);
    bytes.ok_or_else(|| "give the 64 hexadecimal digits of a SHA-256 digest".to_owned())
}
