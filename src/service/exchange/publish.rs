//! Publishing one record: its body is validated here, once, and the receipt shows the publisher its own.
//!
//! INVARIANT (alike): the receipt is read from the publisher's own rows alone, so a new, a known and a conflicting client
//! get the same one (G8).

use bytes::Bytes;

use tonic::Status;

use crate::{
    ledger::Fault,
    machine::{Outcome, Receipt, Refusal, State},
    model::{
        id::{AliasId, RecordId, RecordTypeName},
        violation::Violation,
    },
    node::{Asked, Publication},
    pb::{
        ledger::v1::VersionChange,
        v1::{PublishReceipt, Reason, RecordDraft},
    },
    record::registry::{EdgeContext, RecordType, ValidRecord},
    service::{act, caller::Caller, decision, exchange::Exchange, name, status, time},
};

/// The greatest size of a record's body, in bytes.
const BODY_BYTES_MAX: usize = 262_144;
/// Where the body lies in a request.
const BODY: &str = "record.body";

/// What a publisher is told.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The receipt; `None` if the request was only checked.
    receipt: Option<PublishReceipt>,
    /// The decision's opaque id; empty if the request was only checked.
    decision_id: String,
}

impl Published {
    pub(super) fn into_parts(self) -> (Option<PublishReceipt>, String) {
        (self.receipt, self.decision_id)
    }
}

/// A draft whose own fields are well-formed.
struct Draft {
    record_type: RecordTypeName,
    type_version: u32,
    body: Bytes,
    supersedes: Option<RecordId>,
    change: VersionChange,
}

impl Exchange {
    /// Publishes a record, or only checks it.
    pub(super) async fn publish(
        &self,
        caller: &Caller,
        asked: &Asked,
        (record, validate_only): (Option<RecordDraft>, bool),
    ) -> Result<Published, Status> {
        let draft = draft(act::required(record, "record")?)?;
        let publication = self.validated(asked, draft, validate_only).await?;
        let node = self.node();
        if validate_only {
            let checked = node.check_publication(asked, &publication).await;
            return match checked.map_err(status::failed)? {
                Ok(()) => Ok(Published::default()),
                Err(refusal) => Err(self.refused(caller, asked, refusal)),
            };
        }
        let outcome = node.publish(asked, &publication).await.map_err(status::failed)?;
        self.receipt(caller, asked, &outcome)
    }

    /// Validates the body against its type, and against the version that it replaces.
    async fn validated(
        &self,
        asked: &Asked,
        draft: Draft,
        validate_only: bool,
    ) -> Result<Publication, Status> {
        let Draft { record_type, type_version, body, supersedes, change } = draft;
        let known = self.node().registry().record_type(&record_type);
        let known = known
            .filter(|known| type_version == 0 || type_version == known.version())
            .ok_or_else(|| status::told(Reason::RecordTypeUnknown, TYPE_UNKNOWN))?;
        let valid = self.valid(asked, known, &body)?;
        let previous = match supersedes {
            // What was published before is only compared with what it was. A mere check opens nothing.
            Some(_) if validate_only || self.published(asked, &record_type) => None,
            Some(before) => {
                let opened = self.node().own_body(asked, before).await;
                opened.map_err(status::failed)?.map(Some)
            }
            None => Some(None),
        };
        if let Some(previous) = previous {
            let follows = known.validate_successor(previous.as_deref(), &valid.body);
            follows.map_err(malformed)?;
        }
        let ValidRecord { body, groups_present, identifiers, code_lists, type_version, .. } = valid;
        Ok(Publication {
            record_type,
            type_version,
            code_lists: code_lists.into(),
            groups: groups_present,
            body,
            identifiers,
            supersedes,
            change,
        })
    }

    /// Validates by the day on which the request first took effect, so that repeating it is the same on any later day; by
    /// today if it has not.
    fn valid(&self, asked: &Asked, known: &RecordType, body: &[u8]) -> Result<ValidRecord, Status> {
        let on = |day: Result<_, Fault>| {
            let today = day.map_err(|fault| status::faulty(&fault))?;
            Ok::<_, Status>(known.validate(body, &EdgeContext { today }))
        };
        on(self.node().now().and_then(|now| self.day(now)))?.or_else(|violations| {
            match self.node().published_before(asked, known.name()) {
                Some(at) => on(self.day(at))?.map_err(malformed),
                None => Err(malformed(violations)),
            }
        })
    }

    fn published(&self, asked: &Asked, record_type: &RecordTypeName) -> bool {
        self.node().published_before(asked, record_type).is_some()
    }

    fn receipt(
        &self,
        caller: &Caller,
        asked: &Asked,
        outcome: &Outcome,
    ) -> Result<Published, Status> {
        let node = self.node();
        let (record, client) = match *outcome {
            Ok(Receipt::Published { record, client, .. }) => (record, client),
            Ok(Receipt::Answer(_) | Receipt::Released(_) | Receipt::Opened(_)) => {
                return Err(status::internal(&"a publication got another receipt"));
            }
            Err(refusal) => return Err(self.refused(caller, asked, refusal)),
        };
        let receipt = node
            .read(|state| receipt(state, record, client))
            .ok_or_else(|| status::internal(&"a published record has no row"))?;
        let decision_id = decision::id(node, caller, asked.request_id);
        Ok(Published { receipt: Some(receipt), decision_id })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is about no one field")]
    fn refused(&self, caller: &Caller, asked: &Asked, refusal: Refusal) -> Status {
        let field = match refusal {
            Refusal::NotAvailable | Refusal::SupersedesNotLatest | Refusal::ClientDiffers => {
                "record.supersedes"
            }
            Refusal::NoActiveFlow | Refusal::TypeUnknown | Refusal::TypeVersionUnknown => {
                "record.record_type"
            }
            Refusal::RequestIdReused => "request_id",
            _ => "record",
        };
        status::refused(refusal, field, &decision::id(self.node(), caller, asked.request_id))
    }
}

const TYPE_UNKNOWN: &str = "the record type, or this version of it, is not known to the exchange; see the record types that GetLedger shows";

/// Parses a draft's own fields.
fn draft(draft: RecordDraft) -> Result<Draft, Status> {
    let RecordDraft { record_type, type_version, body, supersedes, change } = draft;
    let change = change_of(change, supersedes.is_empty());
    let record_type = record_type
        .parse::<RecordTypeName>()
        .map_err(|violation| violation.inside("record.record_type"));
    let supersedes = (!supersedes.is_empty())
        .then(|| name::parse::<RecordId>(&supersedes, "record.supersedes"))
        .transpose();
    let size = match body.len() {
        0 => Err(Violation::new(BODY, "MISSING", "the field is required")),
        1..=BODY_BYTES_MAX => Ok(()),
        _ => Err(Violation::new(BODY, "OUT_OF_RANGE", "a body has 1 to 262,144 bytes")),
    };
    match (record_type, supersedes, change, size) {
        (Ok(record_type), Ok(supersedes), Ok(change), Ok(())) => {
            Ok(Draft { record_type, type_version, body, supersedes, change })
        }
        (record_type, supersedes, change, size) => {
            let violations = [record_type.err(), supersedes.err(), change.err(), size.err()];
            Err(status::malformed(&violations.into_iter().flatten().collect::<Vec<_>>()))
        }
    }
}

/// What a version is to the one that it replaces.
fn change_of(change: i32, new: bool) -> Result<VersionChange, Violation> {
    let field = "record.change";
    let change = VersionChange::try_from(change).map_err(|_| {
        Violation::new(field, "UNKNOWN_CODE", "the code is not one of the published ones")
    })?;
    if new && change != VersionChange::Unspecified {
        let text = "a new record changes nothing; name the version that it replaces";
        return Err(Violation::new(field, "NOT_HERE", text));
    }
    Ok(change)
}

/// The violations of a body, as the request's sender sees them.
fn malformed(violations: Vec<Violation>) -> Status {
    let inside: Vec<_> = violations.into_iter().map(|found| found.inside(BODY)).collect();
    status::malformed(&inside)
}

fn receipt(state: &State, record: RecordId, client: AliasId) -> Option<PublishReceipt> {
    let row = state.record(record)?;
    let known = state.record_type(row.record_type)?;
    let lists = row.code_lists;
    Some(PublishReceipt {
        record: name::of(&record),
        client: name::of(&client),
        record_type: known.name.to_string(),
        type_version: row.type_version,
        code_lists: format!("{:04}-{:02}-{:02}", lists / 10_000, lists / 100 % 100, lists % 100),
        field_groups: known.names_of(row.groups).iter().map(ToString::to_string).collect(),
        published_time: Some(time::timestamp(row.published_at)),
    })
}
