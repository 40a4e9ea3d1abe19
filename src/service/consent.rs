//! `ConsentService`: what a person, or somebody with authority, said about the sharing of records.

use tonic::{Request, Response, Status};

use crate::{
    machine::{Receipt, command::consent::Scope, outcome::Remembered, read::consent},
    model::{
        id::{AliasId, ConsentId, HolderId},
        order::Position,
        violation::Violation,
    },
    node::Node,
    pb::{
        ledger::v1::{ConsentScope, Evidence, command::Kind},
        v1::{self as pb, consent_service_server::ConsentService},
    },
    service::{
        act::{Done, Envelope, act, required},
        caller::{Caller, open},
        context, name,
        page::Page,
        status,
        time::shown_at,
    },
};

mod receipt;
mod shown;

use shown::{holder as holder_message, message};

/// The greatest length of each text that is sealed beside a consent, in bytes.
const DETAIL_BYTES_MAX: usize = 512;

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

    fn holder(&self, caller: &Caller, id: HolderId) -> Option<pb::Holder> {
        self.node
            .read(|state| consent::holder(state, caller.viewer(), id).as_ref().map(holder_message))
    }

    fn one(&self, caller: &Caller, id: ConsentId) -> Option<pb::Consent> {
        let now = shown_at(&self.node);
        self.node.read(|state| consent::one(state, caller.viewer(), id, now).as_ref().map(message))
    }

    /// Adds to the refusal of a sham consent which flows share without one, so that their notices can be given.
    fn told_notices(
        &self,
        caller: &Caller,
        scope: Option<ConsentScope>,
        answer: &Status,
    ) -> Status {
        let asked_for = status::reason_of(answer) == Some(pb::Reason::ConsentNotAsked);
        let Some(scope) = Scope::try_from(scope).ok().filter(|_| asked_for) else {
            return answer.clone();
        };
        let now = shown_at(&self.node);
        let about = (&scope.publisher, &scope.record_type);
        let notices = self
            .node
            .read(|state| consent::notices(state, caller.viewer(), about, &scope.recipients, now));
        let told: Vec<_> = notices.iter().map(shown::notice).collect();
        status::with_preconditions(answer, &told)
    }

    /// The consent that was recorded.
    fn recorded(&self, caller: &Caller, done: &Done) -> Option<pb::Consent> {
        match &done.receipt {
            Some(Receipt::Answer(Remembered::Consent(id))) => self.one(caller, *id),
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
        let evidence = detailed(evidence)?;
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let scope = record.scope.clone();
        let command = ("record", Kind::RecordConsent(record));
        let done = act(&self.node, &caller, envelope, command).await;
        let done = done.map_err(|answer| self.told_notices(&caller, scope, &answer))?;
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
        let evidence = detailed(evidence)?;
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
        let evidence = detailed(evidence)?;
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

    async fn record_holder(
        &self,
        request: Request<pb::RecordHolderRequest>,
    ) -> Result<Response<pb::RecordHolderResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RecordHolderRequest {
            context,
            request_id,
            record,
            signature,
            evidence,
            validate_only,
        } = message;
        let record = required(record, "record")?;
        let evidence = detailed(evidence)?;
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let command = ("record", Kind::RecordHolder(record));
        let done = act(&self.node, &caller, envelope, command).await?;
        let holder = match &done.receipt {
            Some(Receipt::Answer(Remembered::Holder(id))) => self.holder(&caller, *id),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        };
        Ok(Response::new(pb::RecordHolderResponse { holder, decision_id: done.decision_id }))
    }

    async fn list_holders(
        &self,
        request: Request<pb::ListHoldersRequest>,
    ) -> Result<Response<pb::ListHoldersResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListHoldersRequest { context, reason, client } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let client: AliasId = name::parse(&client, "client").map_err(status::violation)?;
        let holders = self.node.read(|state| {
            let found = consent::holders(state, caller.viewer(), client);
            found.iter().map(holder_message).collect()
        });
        Ok(Response::new(pb::ListHoldersResponse { holders }))
    }

    async fn resolve_consent(
        &self,
        request: Request<pb::ResolveConsentRequest>,
    ) -> Result<Response<pb::ResolveConsentResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ResolveConsentRequest {
            context,
            request_id,
            resolve,
            signature,
            evidence,
            validate_only,
        } = message;
        let resolve = required(resolve, "resolve")?;
        let evidence = detailed(evidence)?;
        let envelope = Envelope { context, request_id, signature, evidence, validate_only };
        let command = ("resolve", Kind::ResolveConsent(resolve));
        let done = act(&self.node, &caller, envelope, command).await?;
        let consent = self.recorded(&caller, &done);
        Ok(Response::new(pb::ResolveConsentResponse { consent, decision_id: done.decision_id }))
    }

    async fn get_consent_receipt(
        &self,
        request: Request<pb::GetConsentReceiptRequest>,
    ) -> Result<Response<pb::GetConsentReceiptResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetConsentReceiptRequest { context, name: text, reason } = message;
        let _context = context::parse(&self.node, context)?;
        let _reason = context::read_reason(reason)?;
        let id: ConsentId = name::parse(&text, "name").map_err(status::violation)?;
        let now = shown_at(&self.node);
        let stated = self.node.read(|state| receipt::stated(state, caller.viewer(), id, now));
        let stated = stated.ok_or_else(|| status::not_available(""))?;
        let receipt = receipt::signed(&self.node, &stated).map_err(|f| status::faulty(&f))?;
        Ok(Response::new(pb::GetConsentReceiptResponse { receipt }))
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
            let found = consent::list(state, caller.viewer(), client_id, rows, now);
            (found.rows.iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|position| position.number().to_be_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListConsentsResponse { consents, next_page_token }))
    }
}

/// Evidence whose every text is short enough to be sealed beside a consent.
fn detailed(evidence: Option<Evidence>) -> Result<Option<Evidence>, Status> {
    let detail = evidence.as_ref().and_then(|evidence| evidence.consent.as_ref());
    let longest = detail.map_or(0, |detail| {
        let texts = [
            &detail.language,
            &detail.format,
            &detail.witness,
            &detail.grantor_name,
            &detail.grantor_relation,
            &detail.competence_note,
            &detail.view_note,
            &detail.notice,
            &detail.withdrawal_channel,
            &detail.retention,
        ];
        texts.iter().map(|text| text.len()).max().unwrap_or(0)
    });
    if longest <= DETAIL_BYTES_MAX {
        return Ok(evidence);
    }
    let text = "each text has at most 512 bytes";
    Err(status::violation(Violation::new("evidence.consent", "OUT_OF_RANGE", text)))
}
