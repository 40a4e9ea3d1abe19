//! `AgencyService`: invitation, enrolment, keys and suspension.

use bytes::Bytes;
use tonic::{Request, Response, Status};

use crate::{
    machine::{
        Refusal,
        command::Signature,
        read::{self, Viewer, agency::View},
        rules::signature,
        state::{
            State,
            agency::{Invitation, Keys},
        },
    },
    model::{digest::Digest, id::AgencyId},
    node::{self, Asked, Node, Who},
    pb::{
        ledger::v1::{AgencyKeys, EnrolAgency, command::Kind},
        v1::{self as pb, Reason, agency_service_server::AgencyService},
    },
    service::{
        act::{Done, Envelope, act, propose, required},
        caller::{Caller, open},
        context, decision, name,
        page::{self, Page},
        status::{self, Denied},
        time::timestamp,
    },
};

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Agencies {
    node: Node,
}

impl Agencies {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    /// The agency as it is now, unless the request was only checked.
    fn shown(&self, viewer: Viewer, done: &Done, id: &str) -> Option<pb::Agency> {
        let id: AgencyId = id.parse().ok()?;
        done.receipt.as_ref()?;
        self.node.read(|state| read::agency::one(state, viewer, &id).map(message))
    }

    /// Proposes an enrolment. Whether there is such an invitation, such an agency or such a suspension is told by one
    /// answer, and only to whoever signed rightly: so the signature comes first.
    async fn enrol(
        &self,
        caller: &Caller,
        (asked, enrol): (&Asked, EnrolAgency),
        validate_only: bool,
    ) -> Result<Done, Status> {
        let Who::Agency(agency) = &asked.actor else {
            return Err(status::denied(Denied::NotForCaller));
        };
        let keys = enrol.keys.clone();
        lists(caller, keys.as_ref())?;
        let kind = Kind::EnrolAgency(enrol);
        let ledger = self.node.read(State::ledger);
        let statement = node::statement(ledger, agency, asked.request_id, &kind)
            .map_err(|violation| status::violation(violation.inside("enrol")))?;
        let signed = signed(keys.as_ref(), asked, &statement)?;
        let decision = || decision::id(&self.node, caller, asked.request_id);
        if !signed {
            return Err(status::refused(Refusal::SignatureInvalid, "signature", &decision()));
        }
        let open = self.node.read(|state| {
            let row = state.agency_number(agency).and_then(|number| state.agency(number));
            row.is_some_and(|row| !row.suspended)
        });
        if !open {
            return Err(status::refused(Refusal::InvitationInvalid, "enrol", &decision()));
        }
        propose(&self.node, caller, (asked, None, validate_only), ("enrol", kind)).await
    }
}

#[tonic::async_trait]
impl AgencyService for Agencies {
    async fn invite_agency(
        &self,
        request: Request<pb::InviteAgencyRequest>,
    ) -> Result<Response<pb::InviteAgencyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::InviteAgencyRequest { context, request_id, invite, validate_only } = message;
        let invite = required(invite, "invite")?;
        let id = invite.agency.clone();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("invite", Kind::InviteAgency(invite));
        let done = act(&self.node, &caller, envelope, command).await?;
        let agency = self.shown(caller.viewer(), &done, &id);
        Ok(Response::new(pb::InviteAgencyResponse { agency, decision_id: done.decision_id }))
    }

    async fn enrol_agency(
        &self,
        request: Request<pb::EnrolAgencyRequest>,
    ) -> Result<Response<pb::EnrolAgencyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::EnrolAgencyRequest {
            context: given,
            request_id,
            name: text,
            enrol,
            signature,
            validate_only,
        } = message;
        let enrol = required(enrol, "enrol")?;
        let agency: AgencyId = name::parse(&text, "name").map_err(status::violation)?;
        if matches!(&caller, Caller::Agency { id, .. } if *id != agency) {
            return Err(status::denied(Denied::NotForCaller));
        }
        let context::Context { purpose, staff } = context::parse(&self.node, given)?;
        let request_id = context::request_id_of(&request_id, "request_id")?;
        let id = agency.to_string();
        let actor = Who::Agency(agency.clone());
        let asked = Asked { actor, purpose, staff, request_id, signature };
        let done = self.enrol(&caller, (&asked, enrol), validate_only).await?;
        let number = self.node.read(|state| state.agency_number(&agency));
        let viewer = number.map_or(Viewer::Unregistered, Viewer::Agency);
        let agency = self.shown(viewer, &done, &id);
        Ok(Response::new(pb::EnrolAgencyResponse { agency, decision_id: done.decision_id }))
    }

    async fn rotate_keys(
        &self,
        request: Request<pb::RotateKeysRequest>,
    ) -> Result<Response<pb::RotateKeysResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::RotateKeysRequest { context, request_id, rotate, signature, validate_only } =
            message;
        let rotate = required(rotate, "rotate")?;
        lists(&caller, rotate.keys.as_ref())?;
        let id = caller.agency()?.1.to_string();
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("rotate", Kind::RotateKeys(rotate));
        let done = act(&self.node, &caller, envelope, command).await?;
        let agency = self.shown(caller.viewer(), &done, &id);
        Ok(Response::new(pb::RotateKeysResponse { agency, decision_id: done.decision_id }))
    }

    async fn suspend_agency(
        &self,
        request: Request<pb::SuspendAgencyRequest>,
    ) -> Result<Response<pb::SuspendAgencyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::SuspendAgencyRequest { context, request_id, suspend, validate_only } = message;
        let suspend = required(suspend, "suspend")?;
        let id = suspend.agency.clone();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("suspend", Kind::SuspendAgency(suspend));
        let done = act(&self.node, &caller, envelope, command).await?;
        let agency = self.shown(caller.viewer(), &done, &id);
        Ok(Response::new(pb::SuspendAgencyResponse { agency, decision_id: done.decision_id }))
    }

    async fn resume_agency(
        &self,
        request: Request<pb::ResumeAgencyRequest>,
    ) -> Result<Response<pb::ResumeAgencyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ResumeAgencyRequest { context, request_id, resume, validate_only } = message;
        let resume = required(resume, "resume")?;
        let id = resume.agency.clone();
        let envelope = Envelope { context, request_id, validate_only, ..Envelope::default() };
        let command = ("resume", Kind::ResumeAgency(resume));
        let done = act(&self.node, &caller, envelope, command).await?;
        let agency = self.shown(caller.viewer(), &done, &id);
        Ok(Response::new(pb::ResumeAgencyResponse { agency, decision_id: done.decision_id }))
    }

    async fn get_agency(
        &self,
        request: Request<pb::GetAgencyRequest>,
    ) -> Result<Response<pb::GetAgencyResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::GetAgencyRequest { context, name: text } = message;
        let _context = context::parse(&self.node, context)?;
        let id: AgencyId = name::parse(&text, "name").map_err(status::violation)?;
        let agency = self
            .node
            .read(|state| read::agency::one(state, caller.viewer(), &id).map(self::message));
        let agency = agency.ok_or_else(|| status::not_available(""))?;
        Ok(Response::new(pb::GetAgencyResponse { agency: Some(agency) }))
    }

    async fn list_agencies(
        &self,
        request: Request<pb::ListAgenciesRequest>,
    ) -> Result<Response<pb::ListAgenciesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListAgenciesRequest { context, page_size, page_token } = message;
        let _context = context::parse(&self.node, context)?;
        let page = Page::parse(
            &self.node,
            &caller,
            ("ListAgencies", &page::NO_FILTER),
            (page_size, &page_token),
        )?;
        let after: Option<AgencyId> = page.after_slug()?;
        let (agencies, next) = self.node.read(|state| {
            let found = read::agency::list(state, caller.viewer(), after.as_ref(), page.rows_max);
            (found.rows.into_iter().map(self::message).collect(), found.next)
        });
        let next = next.map(|id| id.as_str().as_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        Ok(Response::new(pb::ListAgenciesResponse { agencies, next_page_token }))
    }
}

/// Holds that the keys name the certificate of the connection, so that nobody locks itself out.
fn lists(caller: &Caller, keys: Option<&AgencyKeys>) -> Result<(), Status> {
    let listed = match (caller.fingerprint(), keys) {
        (Some(own), Some(keys)) => {
            keys.certificates.iter().any(|known| **known == own.as_bytes()[..])
        }
        // Missing keys are told as a missing field.
        (_, None) => true,
        (None, Some(_)) => false,
    };
    if listed {
        return Ok(());
    }
    let message =
        "the keys do not name the certificate of this connection; list its fingerprint among them";
    Err(status::told(Reason::CertificateNotListed, message))
}

/// Whether the statement is signed by the key that the enrolment brings.
fn signed(keys: Option<&AgencyKeys>, asked: &Asked, statement: &[u8]) -> Result<bool, Status> {
    let brought = keys.and_then(|keys| <[u8; 32]>::try_from(&*keys.signing_key).ok());
    // A malformed key is told when the command is parsed.
    let Some(signing_key) = brought else { return Ok(true) };
    let Some(given) = asked.signature.clone() else { return Ok(false) };
    let parsed = Signature::try_from(given).map_err(status::violation)?;
    Ok(signature::holds(&signing_key, &parsed, statement))
}

fn message(view: View<'_>) -> pb::Agency {
    let View { agency, inside, operator } = view;
    let keys = agency.keys.as_ref();
    let state = match (keys, agency.suspended) {
        (None, _) => pb::AgencyState::Invited,
        (Some(_), false) => pb::AgencyState::Enrolled,
        (Some(_), true) => pb::AgencyState::Suspended,
    };
    let certificates = keys.filter(|_| inside).into_iter().flat_map(|keys| &keys.certificates);
    let end = |invitation: &Invitation| timestamp(invitation.expires_at);
    pb::Agency {
        name: name::of(&agency.id),
        kind: agency.kind,
        state: i32::from(state),
        signing_key: keys.map(|keys| Bytes::copy_from_slice(&keys.signing_key)).unwrap_or_default(),
        key_fingerprint: keys.map(Keys::fingerprint).map(bytes).unwrap_or_default(),
        certificates: certificates.copied().map(bytes).collect(),
        invited_time: inside.then(|| timestamp(agency.invited_at)),
        invitation_expires_time: agency.invitation.as_ref().filter(|_| operator).map(end),
        enrolled_time: agency.enrolled_at.map(timestamp),
    }
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}
