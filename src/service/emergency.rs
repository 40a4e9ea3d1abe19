//! `EmergencyService`: a pre-authorised office reads the fewest groups at once, and answers for it afterwards.

use prost::Message;
use tonic::{Request, Response, Status};

use crate::{
    ledger::Fault,
    machine::{
        Receipt, Released,
        outcome::Remembered,
        read::{self, emergency::View},
    },
    model::{
        date,
        id::{EmergencyId, RecordId},
        identifier::{postcode::Postcode, scn::Scn},
        limit,
        order::{Position, UnixMillis},
        violation::Violation,
    },
    node::{EmergencyRequest, Node, Outgoing, Sought},
    pb::{
        ledger::v1::{self as ledger, command::Kind},
        v1::{
            self as pb, emergency_service_server::EmergencyService,
            open_emergency_access_request::Subject,
        },
    },
    service::{
        act::{self, Envelope, act, done, required},
        caller::{Caller, open},
        context, decision,
        exchange::shown,
        gate::GateTicket,
        name,
        page::Page,
        recall, status,
        time::{shown_at, timestamp},
    },
};

/// The greatest length of the words, in bytes.
const WORDS_BYTES_MAX: usize = 1_024;
/// The greatest length of a name or id, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many bytes the records of one answer take at most, so that the answer with its frame stays below 1 MiB.
const READ_BYTES_MAX: usize = limit::MESSAGE_BYTES_MAX - 4_096;

/// The service over one node.
#[derive(Clone, Debug)]
pub struct Emergencies {
    node: Node,
}

impl Emergencies {
    /// Serves from `node`.
    pub const fn new(node: Node) -> Self {
        Self { node }
    }

    fn one(&self, caller: &Caller, id: EmergencyId) -> Option<pb::EmergencyAccess> {
        let now = shown_at(&self.node);
        self.node.read(|state| {
            read::emergency::one(state, caller.viewer(), id).map(|view| message(&view, now))
        })
    }
}

#[tonic::async_trait]
impl EmergencyService for Emergencies {
    async fn authorise_emergency_offices(
        &self,
        request: Request<pb::AuthoriseEmergencyOfficesRequest>,
    ) -> Result<Response<pb::AuthoriseEmergencyOfficesResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::AuthoriseEmergencyOfficesRequest {
            context,
            request_id,
            signature,
            authorise,
            validate_only,
        } = message;
        let authorise = required(authorise, "authorise")?;
        let envelope =
            Envelope { context, request_id, signature, validate_only, ..Envelope::default() };
        let command = ("authorise", Kind::AuthoriseEmergency(authorise));
        let decision_id = act(&self.node, &caller, envelope, command).await?.decision_id;
        Ok(Response::new(pb::AuthoriseEmergencyOfficesResponse { decision_id }))
    }

    async fn open_emergency_access(
        &self,
        request: Request<pb::OpenEmergencyAccessRequest>,
    ) -> Result<Response<pb::OpenEmergencyAccessResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::OpenEmergencyAccessRequest {
            context,
            request_id,
            category,
            reason,
            office,
            subject,
            words,
        } = message;
        let asked = context::asked(&self.node, &caller, (context, &request_id), None)?;
        if WORDS_BYTES_MAX < words.len() {
            let text = "the words have at most 1,024 bytes";
            return Err(status::violation(Violation::new("words", "OUT_OF_RANGE", text)));
        }
        let request = EmergencyRequest {
            category: code(category, "category")?,
            reason: code(reason, "reason")?,
            office: code(office, "office")?,
            sought: sought(required(subject, "subject")?).map_err(status::violation)?,
            words,
        };
        let outcome = self.node.open_emergency(&asked, request).await.map_err(status::failed)?;
        let done = done(&self.node, &caller, asked.request_id, (outcome, "office"))?;
        let emergency = match done.receipt {
            Some(Receipt::Answer(Remembered::Emergency(id))) => self.one(&caller, id),
            Some(
                Receipt::Answer(_)
                | Receipt::Published { .. }
                | Receipt::Released(_)
                | Receipt::Opened(_),
            )
            | None => None,
        };
        let decision_id = done.decision_id;
        Ok(Response::new(pb::OpenEmergencyAccessResponse { emergency, decision_id }))
    }

    async fn read_emergency_records(
        &self,
        request: Request<pb::ReadEmergencyRecordsRequest>,
    ) -> Result<Response<pb::ReadEmergencyRecordsResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ReadEmergencyRecordsRequest { context, request_id, emergency, page_token } =
            message;
        let asked = context::asked(&self.node, &caller, (context, &request_id), None)?;
        let id: EmergencyId = name::parse(&emergency, "emergency").map_err(status::violation)?;
        let filter = pb::ReadEmergencyRecordsRequest {
            emergency,
            ..pb::ReadEmergencyRecordsRequest::default()
        };
        let usage = ("ReadEmergencyRecords", &filter);
        let page = Page::parse(&self.node, &caller, usage, (0, &page_token))?;
        let after = page.after_bytes()?.map(RecordId::from_bytes);
        let decision_id = decision::id(&self.node, &caller, asked.request_id);
        let recalls =
            recall::pulled(&self.node, &caller).await.map_err(|fault| status::faulty(&fault))?;
        let read = self.node.read_emergency(&asked, (id, after)).await.map_err(status::failed)?;
        let (outgoing, last) =
            read.map_err(|refusal| status::refused(refusal, "emergency", &decision_id))?;
        let bytes = recalls.iter().map(|recall| recall.encoded_len().saturating_add(8)).sum();
        let within = within(&self.node, outgoing, bytes).map_err(|fault| status::faulty(&fault))?;
        let Within { released, records, cut } = within;
        let next = cut.or(last).map(|record| record.as_bytes().to_vec());
        let next_page_token = page.next(&self.node, &caller, next);
        let answer =
            pb::ReadEmergencyRecordsResponse { records, recalls, next_page_token, decision_id };
        let mut response = Response::new(answer);
        response.extensions_mut().insert(GateTicket(released));
        Ok(response)
    }

    async fn review_emergency_access(
        &self,
        request: Request<pb::ReviewEmergencyAccessRequest>,
    ) -> Result<Response<pb::ReviewEmergencyAccessResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ReviewEmergencyAccessRequest {
            context,
            request_id,
            emergency,
            finding,
            reviewer,
            evidence,
        } = message;
        let asked = context::asked(&self.node, &caller, (context, &request_id), None)?;
        let id: EmergencyId = name::parse(&emergency, "emergency").map_err(status::violation)?;
        let _known: ledger::EmergencyFinding = code(finding, "finding")?;
        let _known: ledger::EmergencyReviewer = code(reviewer, "reviewer")?;
        let (_, agency) = caller.agency()?;
        if !self.node.is_own_emergency(agency, id) {
            let decision_id = decision::id(&self.node, &caller, asked.request_id);
            return Err(status::not_available(&decision_id));
        }
        let staff = self.node.staff(&asked).await.map_err(|fault| status::faulty(&fault))?;
        let kind = Kind::ReviewEmergency(ledger::ReviewEmergency {
            emergency: id.as_bytes().to_vec().into(),
            finding,
            reviewer,
            staff,
        });
        let beside = (&asked, evidence, false);
        let done = act::propose(&self.node, &caller, beside, ("emergency", kind)).await?;
        let emergency = self.one(&caller, id);
        let decision_id = done.decision_id;
        Ok(Response::new(pb::ReviewEmergencyAccessResponse { emergency, decision_id }))
    }

    async fn list_emergency_access(
        &self,
        request: Request<pb::ListEmergencyAccessRequest>,
    ) -> Result<Response<pb::ListEmergencyAccessResponse>, Status> {
        let (caller, message) = open(request)?;
        let pb::ListEmergencyAccessRequest {
            context,
            published,
            unreviewed,
            page_size,
            page_token,
        } = message;
        let _context = context::parse(&self.node, context)?;
        let filter = pb::ListEmergencyAccessRequest {
            published,
            unreviewed,
            ..pb::ListEmergencyAccessRequest::default()
        };
        let list = ("ListEmergencyAccess", &filter);
        let page = Page::parse(&self.node, &caller, list, (page_size, &page_token))?;
        let after = page.after_bytes()?.map(key_of);
        let now = shown_at(&self.node);
        let (emergencies, next) = self.node.read(|state| {
            let (wanted, rows) = ((published, unreviewed), (after, page.rows_max));
            let found = read::emergency::list(state, caller.viewer(), wanted, rows);
            (found.rows.iter().map(|view| self::message(view, now)).collect(), found.next)
        });
        let next_page_token = page.next(&self.node, &caller, next.map(bytes_of));
        Ok(Response::new(pb::ListEmergencyAccessResponse { emergencies, next_page_token }))
    }
}

/// The records that one answer can hold.
struct Within {
    released: Vec<Released>,
    records: Vec<pb::Record>,
    /// The first version of the last record, if others did not find room.
    cut: Option<RecordId>,
}

fn within(node: &Node, outgoing: Vec<Outgoing>, mut bytes: usize) -> Result<Within, Fault> {
    let mut within = Within { released: Vec::new(), records: Vec::new(), cut: None };
    for one in outgoing {
        let (released, record) = shown::record(node, one)?;
        let marks = node.read(|state| read::emergency::marks(state, &released));
        let marks = marks.into_iter().map(i32::from).collect();
        let record = pb::Record { marks, ..record };
        bytes = bytes.saturating_add(record.encoded_len()).saturating_add(8);
        if READ_BYTES_MAX < bytes && !within.records.is_empty() {
            let last = within.released.last().map(Released::record);
            let first = |record| node.read(|state| read::emergency::first_of(state, record));
            within.cut = last.and_then(first);
            break;
        }
        within.released.push(released);
        within.records.push(record);
    }
    Ok(within)
}

/// Holds that somebody can be looked for: by one exact identifier, or by everything that a person is found by.
fn sought(subject: Subject) -> Result<Sought, Violation> {
    match subject {
        Subject::Identifiers(identifiers) => {
            let ledger::Identifiers { local_id, scn, person } = &identifiers;
            if local_id.is_empty() == scn.is_empty() || person.is_some() {
                let text = "name one identifier: the agency's own id of the client, or the number";
                return Err(Violation::new("identifiers", "MISSING", text));
            }
            if NAME_BYTES_MAX < local_id.len() {
                let text = "an agency's own id of a client has at most 64 bytes";
                return Err(Violation::new("identifiers.local_id", "OUT_OF_RANGE", text));
            }
            if !scn.is_empty() {
                let parsed: Result<Scn, Violation> = scn.parse();
                let _scn = parsed.map_err(|violation| violation.inside("identifiers.scn"))?;
            }
            Ok(Sought::Identifiers(identifiers))
        }
        Subject::Person(person) => {
            self::person(&person).map_err(|violation| violation.inside("person"))?;
            Ok(Sought::Person(person))
        }
    }
}

/// Holds that particulars are whole: name, date of birth and postcode.
///
/// # Errors
/// A violation at the field that is not.
pub(super) fn person(person: &ledger::Person) -> Result<(), Violation> {
    let ledger::Person { forename, surname, date_of_birth, postcode } = person;
    for (field, text) in [("forename", forename), ("surname", surname)] {
        if text.is_empty() || NAME_BYTES_MAX < text.len() {
            let text = "somebody is looked for by both names, each of 1 to 64 bytes";
            return Err(Violation::new(field, "OUT_OF_RANGE", text));
        }
    }
    let _born = date::parse(date_of_birth).map_err(|v| v.inside("date_of_birth"))?;
    let parsed: Result<Postcode, Violation> = postcode.parse();
    let _postcode = parsed.map_err(|violation| violation.inside("postcode"))?;
    Ok(())
}

fn code<E: TryFrom<i32> + Default + PartialEq>(number: i32, field: &str) -> Result<E, Status> {
    let known = E::try_from(number).ok().filter(|code| *code != E::default());
    known.ok_or_else(|| {
        let text = "the code is not one of the published ones";
        status::violation(Violation::new(field, "UNKNOWN_CODE", text))
    })
}

/// The length of a key: a position and an id.
const KEY_BYTES: usize = 24;

fn bytes_of((position, id): (Position, EmergencyId)) -> Vec<u8> {
    [position.number().to_be_bytes().as_slice(), id.as_bytes()].concat()
}

fn key_of(bytes: [u8; KEY_BYTES]) -> (Position, EmergencyId) {
    let (mut position, mut id) = ([0; 8], [0; 16]);
    let mut rest = bytes.into_iter();
    for to in position.iter_mut().chain(&mut id) {
        *to = rest.next().unwrap_or_default();
    }
    (Position::new(u64::from_be_bytes(position)), EmergencyId::from_bytes(id))
}

fn message(view: &View<'_>, now: UnixMillis) -> pb::EmergencyAccess {
    let View { id, emergency, agency, own, client } = view;
    let review = emergency.review.as_ref();
    let finding = review.map_or(0, |review| review.finding);
    pb::EmergencyAccess {
        name: name::of(id),
        agency: name::of(*agency),
        category: emergency.category,
        reason: emergency.reason,
        office: emergency.office,
        search: emergency.search,
        client: client.as_ref().map(name::of).unwrap_or_default(),
        opened_time: Some(timestamp(emergency.opened_at)),
        end_time: Some(timestamp(emergency.until)),
        review_due_time: Some(timestamp(emergency.review_due)),
        records: if *own { emergency.records } else { 0 },
        finding,
        reviewer: review.map_or(0, |review| review.reviewer),
        reviewed_time: review.map(|review| timestamp(review.at)),
        overdue: review.is_none() && emergency.review_due < now,
        incident_recommended: finding == i32::from(ledger::EmergencyFinding::NotJustified),
    }
}
