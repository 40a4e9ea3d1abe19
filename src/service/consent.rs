//! `ConsentService`: what a person, or somebody with authority, said about the sharing of records.

use bytes::Bytes;
use tonic::{Request, Response, Status};

use crate::{
    machine::{
        Receipt,
        outcome::Remembered,
        read::{
            self,
            consent::{Stands, View},
        },
    },
    model::{
        id::{AgencyId, AliasId, ConsentId},
        order::Position,
    },
    node::Node,
    pb::{
        ledger::v1::{ConsentAct, ConsentScope, command::Kind},
        v1::{self as pb, consent_service_server::ConsentService},
    },
    service::{
        act::{Done, Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::{shown_at, timestamp},
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Consents {
    node: Node,
}

impl Consents {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(&self, caller: &Caller, id: ConsentId) -> Option<pb::Consent> {
        let now = shown_at(&self.node);
        self.node
            .read(|state| read::consent::one(state, caller.viewer(), id, now).as_ref().map(message))
    }

    /// The consent that was recorded.
    fn recorded(&self, caller: &Caller, done: &Done) -> Option<pb::Consent> {
        match done.receipt {
            Some(Receipt::Answer(Remembered::Consent(id))) => self.one(caller, id),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        }
    }
}

#[tonic::async_trait]
impl ConsentService for Consents {
    async fn record_consent(
        &self,
        request: Request<pb::RecordConsentRequest>,
    ) -> Result<Response<pb::RecordConsentResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RecordConsentRequest {
            context,
            request_id,
            record,
            signature,
            evidence,
            validate_only,
        } = message;
        let record = required(record, "record")?;
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let command = ("record", Kind::RecordConsent(record));
        let done = act(&self.node, &caller, envelope, command).await?;
        let consent = self.recorded(&caller, &done);
        Ok(Response::new(pb::RecordConsentResponse { consent, decision_id: done.decision_id }))
    }

    async fn refuse_consent(
        &self,
        request: Request<pb::RefuseConsentRequest>,
    ) -> Result<Response<pb::RefuseConsentResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RefuseConsentRequest { context, request_id, refuse, evidence, validate_only } =
            message;
        let refuse = required(refuse, "refuse")?;
        let envelope =
            Envelope { context, request_id, evidence, validate_only, ..Envelope::default() };
        let command = ("refuse", Kind::RefuseConsent(refuse));
        let done = act(&self.node, &caller, envelope, command).await?;
        let consent = self.recorded(&caller, &done);
        Ok(Response::new(pb::RefuseConsentResponse { consent, decision_id: done.decision_id }))
    }

    async fn withdraw_consent(
        &self,
        request: Request<pb::WithdrawConsentRequest>,
    ) -> Result<Response<pb::WithdrawConsentResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::WithdrawConsentRequest { context, request_id, withdraw, evidence, validate_only } =
            message;
        let withdraw = required(withdraw, "withdraw")?;
        let id = ConsentId::from_slice(&withdraw.consent).ok();
        let envelope =
            Envelope { context, request_id, evidence, validate_only, ..Envelope::default() };
        let command = ("withdraw", Kind::WithdrawConsent(withdraw));
        let done = act(&self.node, &caller, envelope, command).await?;
        // Whoever did not record it learns its name alone.
        let consent = id.filter(|_| done.receipt.is_some()).map(|id| {
            let named = pb::Consent { name: name::of(&id), ..pb::Consent::default() };
            self.one(&caller, id).unwrap_or(named)
        });
        Ok(Response::new(pb::WithdrawConsentResponse { consent, decision_id: done.decision_id }))
    }

    async fn get_consent(
        &self,
        request: Request<pb::GetConsentRequest>,
    ) -> Result<Response<pb::GetConsentResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetConsentRequest { context, name: text, reason } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let id: ConsentId = name::parse(&text, "name").map_err(status::violation)?;
        let consent = self.one(&caller, id).ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetConsentResponse { consent: Some(consent) }))
    }

    async fn list_consents(
        &self,
        request: Request<pb::ListConsentsRequest>,
    ) -> Result<Response<pb::ListConsentsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListConsentsRequest { context, reason, client, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let client_id: Option<AliasId> = match client.as_str() {
            "" => None,
            text => Some(name::parse(text, "client").map_err(status::violation)?),
        };
        let filter =
            pb::ListConsentsRequest { reason, client, ..pb::ListConsentsRequest::default() };
        let page =
            Page::parse(&self.node, &caller, ("ListConsents", &filter), (page_size, &page_token))?;
        let before = page.after_bytes()?.map(u64::from_be_bytes).map(Position::new);
        let now = shown_at(&self.node);
        let (consents, next) = self.node.read(|state| {
            let rows = (before, page.rows_max);
            let found = read::consent::list(state, caller.viewer(), client_id, rows, now);
            (found.rows.iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|position| position.number().to_be_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListConsentsResponse { consents, next_page_token }))
    }
}

fn message(view: &View<'_>) -> pb::Consent {
    let View { id, consent, client, publisher, record_type, recipients, withdrawn, stands } = view;
    let state = match stands {
        Stands::InForce => pb::ConsentState::InForce,
        Stands::Withdrawn => pb::ConsentState::Withdrawn,
        Stands::Expired => pb::ConsentState::Expired,
        Stands::Superseded => pb::ConsentState::Superseded,
    };
    let kind = if consent.given { pb::ConsentKind::Consent } else { pb::ConsentKind::Refusal };
    let groups = record_type.names_of(consent.groups);
    pb::Consent {
        name: name::of(id),
        kind: i32::from(kind),
        state: i32::from(state),
        client: name::of(client),
        scope: Some(ConsentScope {
            client: Bytes::copy_from_slice(client.as_bytes()),
            publisher: publisher.to_string(),
            record_type: record_type.name.to_string(),
            groups: groups.iter().map(ToString::to_string).collect(),
            recipients: recipients.iter().map(ToString::to_string).collect(),
            gate: consent.gate,
        }),
        act: Some(ConsentAct {
            grantor: consent.grantor,
            authority: consent.authority,
            age_years: consent.age_years,
            method: consent.method,
            given_at_ms: consent.given_at.millis(),
            notice_digest: Bytes::copy_from_slice(consent.notice_digest.as_bytes()),
        }),
        expires_time: consent.expires_at.map(timestamp),
        withdrawn_recipients: withdrawn.iter().map(|id: &&AgencyId| name::of(*id)).collect(),
        recorded_time: Some(timestamp(consent.recorded_at)),
        withdrawn_time: consent.withdrawn_at.map(timestamp),
    }
}
