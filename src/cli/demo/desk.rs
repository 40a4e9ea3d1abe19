//! One caller's own system: it speaks gRPC over mutual TLS with its own certificate and signs with its own key, and has
//! no other way into the exchange.

mod agreement;
mod people;
mod records;

use std::path::Path;

use bytes::Bytes;

use crate::{
    cli::{
        demo::cast::{RECORD_TYPE, SUBSCRIPTION},
        error::CliError,
        session::{Caller, Session, incomplete, request_text},
    },
    config::Choice,
    identity::development::{IssuedProfile, OPERATOR},
    model::{digest::Digest, id::RequestId, order::UnixMillis},
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Purpose, command::Kind},
        v1::{
            self as pb, agency_service_client::AgencyServiceClient,
            ledger_service_client::LedgerServiceClient,
            subscription_service_client::SubscriptionServiceClient,
        },
    },
};

pub(super) use records::{Again, Received};

/// How long an invitation lasts, in milliseconds: a day.
const INVITATION_MS: u64 = 86_400_000;

/// A caller at its desk.
#[derive(Debug)]
pub(super) struct Desk {
    name: &'static str,
    session: Session,
}

/// A version of an agreement, and the hash of what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) version: u32,
    pub(super) content_hash: Bytes,
}

impl Desk {
    /// Connects as the profile of this name.
    pub(super) async fn open(
        caller: &Caller,
        (home, endpoint): (&Path, &str),
        name: &'static str,
    ) -> Result<Self, CliError> {
        let mut caller = caller.clone();
        caller.settings.home = home.to_owned();
        caller.settings.profile = Some(Choice::Named(name.to_owned()));
        caller.settings.endpoint_given = Some(endpoint.to_owned());
        caller.settings.staff = None;
        caller.purpose = None;
        let session = Session::open(&caller, Purpose::SchoolLeaverTransition).await?;
        Ok(Self { name, session })
    }

    /// The present time.
    pub(super) fn now(&self) -> UnixMillis {
        self.session.now()
    }

    fn context(&self, purpose: Purpose) -> Option<pb::RequestContext> {
        self.session
            .context()
            .map(|context| pb::RequestContext { purpose: purpose.into(), ..context })
    }

    fn request(&self) -> RequestId {
        self.session.entropy().request_id(self.now())
    }

    fn subscription(&self) -> String {
        format!("agencies/{}/subscriptions/{SUBSCRIPTION}", self.name)
    }

    /// Invites an agency, and gives the secret that only it is handed.
    pub(super) async fn invite(
        &self,
        agency: &str,
        kind: AgencyKind,
    ) -> Result<[u8; 32], CliError> {
        let secret: [u8; 32] = self.session.entropy().bytes();
        let invite = ledger::InviteAgency {
            agency: agency.to_owned(),
            kind: kind.into(),
            secret_digest: Bytes::copy_from_slice(Digest::of_concatenation(&[&secret]).as_bytes()),
            expires_at_ms: self.now().plus(INVITATION_MS).millis(),
        };
        let request = pb::InviteAgencyRequest {
            context: self.context(Purpose::Operation),
            request_id: self.session.new_request(),
            invite: Some(invite),
            validate_only: false,
        };
        AgencyServiceClient::new(self.session.channel()).invite_agency(request).await?;
        Ok(secret)
    }

    /// Enrols with the keys of its own profile, and gives the fingerprint of the signing key.
    pub(super) async fn enrol(
        &mut self,
        profile: &IssuedProfile,
        secret: [u8; 32],
    ) -> Result<Bytes, CliError> {
        let fingerprint = Bytes::copy_from_slice(profile.certificate.fingerprint.as_bytes());
        let keys = ledger::AgencyKeys {
            signing_key: Bytes::copy_from_slice(&profile.signing_public),
            certificates: vec![fingerprint],
        };
        let enrol =
            ledger::EnrolAgency { secret: Bytes::copy_from_slice(&secret), keys: Some(keys) };
        let request = self.request();
        let signature = self.session.sign(request, &Kind::EnrolAgency(enrol.clone())).await?;
        let request = pb::EnrolAgencyRequest {
            context: self.context(Purpose::Administration),
            request_id: request_text(request),
            name: format!("agencies/{}", self.name),
            enrol: Some(enrol),
            signature,
            validate_only: false,
        };
        let answer = AgencyServiceClient::new(self.session.channel()).enrol_agency(request).await?;
        answer.into_inner().agency.map(|agency| agency.key_fingerprint).ok_or_else(incomplete)
    }

    /// Subscribes to leavers' forms.
    pub(super) async fn subscribe(&self) -> Result<(), CliError> {
        let create = ledger::CreateSubscription {
            subscription: SUBSCRIPTION.to_owned(),
            record_types: vec![RECORD_TYPE.to_owned()],
        };
        let request = pb::CreateSubscriptionRequest {
            context: self.context(Purpose::SchoolLeaverTransition),
            request_id: self.session.new_request(),
            create: Some(create),
            validate_only: false,
        };
        SubscriptionServiceClient::new(self.session.channel()).create_subscription(request).await?;
        Ok(())
    }

    /// The ledger's head, signed now. The operator alone is told.
    pub(super) async fn checkpoint(&self) -> Result<ledger::Checkpoint, CliError> {
        debug_assert_eq!(self.name, OPERATOR, "the exchange refuses anybody else");
        let context = self.context(Purpose::Operation);
        let request = pb::GetCheckpointRequest { context, fresh: true };
        let answer =
            LedgerServiceClient::new(self.session.channel()).get_checkpoint(request).await?;
        answer.into_inner().checkpoint.ok_or_else(incomplete)
    }

    /// Proves that the ledger of the second size continues that of the first.
    pub(super) async fn consistency(
        &self,
        first_size: u64,
        second_size: u64,
    ) -> Result<Vec<Bytes>, CliError> {
        let context = self.context(Purpose::Operation);
        let request = pb::GetConsistencyProofRequest { context, first_size, second_size };
        let answer =
            LedgerServiceClient::new(self.session.channel()).get_consistency_proof(request).await?;
        Ok(answer.into_inner().path)
    }
}
