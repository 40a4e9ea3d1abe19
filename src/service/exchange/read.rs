//! Reading by asking: one record by its name, the next records of a subscription, and their acknowledgement.
//!
//! What leaves carries a [`GateTicket`], so that the body's gate asks once more right before the first byte (G3).

use std::collections::BTreeMap;

use prost::Message;
use tonic::{Response, Status};

use crate::{
    ledger::Fault,
    machine::{Refusal, Released},
    model::{
        id::{AgencyId, RecordId, SubscriptionId},
        limit,
        violation::Violation,
    },
    node::{Asked, Ended, Node},
    pb::{
        ledger::v1::{self as ledger, NackReason, command::Kind},
        v1::{
            AcknowledgeRecordsRequest, AcknowledgeRecordsResponse, Delivery, DeliveryNack,
            GetRecordRequest, GetRecordResponse, PullRecordsRequest, PullRecordsResponse, Reason,
        },
    },
    service::{
        act,
        caller::Caller,
        context,
        decision::{self, Decided},
        exchange::{
            Exchange,
            shown::{self, Line},
        },
        gate::GateTicket,
        name, recall,
        status::{self, Denied},
    },
};

/// How many bytes the deliveries of one answer take at most, so that the answer with its frame stays below 1 MiB.
const PULL_BYTES_MAX: usize = limit::MESSAGE_BYTES_MAX - 4_096;

impl Exchange {
    pub(super) async fn open_one(
        &self,
        caller: &Caller,
        request: GetRecordRequest,
    ) -> Result<Response<GetRecordResponse>, Status> {
        let GetRecordRequest { context, request_id, name, reason } = request;
        let node = self.node();
        let asked = context::asked(node, caller, (context, &request_id), None)?;
        let record = name::parse::<RecordId>(&name, "name").map_err(status::violation)?;
        let reason = context::read_reason(reason)?;
        // The same for a record that there is and one that there is not: only who published it can open the id.
        let decided = decision::by_name(node, caller, record, asked.purpose);
        let id_of = |decided: Option<&Decided>| match decided {
            Some(decided) => decision::of_record(node, asked.request_id, decided),
            None => decision::id(node, caller, asked.request_id),
        };
        let opened = node.open_record(&asked, record, reason).await.map_err(status::failed)?;
        let outgoing =
            opened.map_err(|refusal| status::refused(refusal, "name", &id_of(decided.as_ref())))?;
        let (released, record) =
            shown::record(node, outgoing).map_err(|fault| status::faulty(&fault))?;
        let decision_id = id_of(decided.map(|decided| decided.by(&released)).as_ref());
        let mut response = Response::new(GetRecordResponse { record: Some(record), decision_id });
        response.extensions_mut().insert(GateTicket(vec![released]));
        Ok(response)
    }

    pub(super) async fn pull(
        &self,
        caller: &Caller,
        request: PullRecordsRequest,
    ) -> Result<Response<PullRecordsResponse>, Status> {
        let PullRecordsRequest { context, request_id, subscription, max_records } = request;
        let node = self.node();
        let asked = context::asked(node, caller, (context, &request_id), None)?;
        let (agency, id) = own(caller, &subscription, "subscription")?;
        let credit = match usize::try_from(max_records) {
            Ok(0) => limit::RELEASE_LINES_MAX,
            Ok(records) if records <= limit::RELEASE_LINES_MAX => records,
            Ok(_) | Err(_) => {
                let text = "an answer has 0 to 64 records; 0 means 64";
                let violation = Violation::new("max_records", "OUT_OF_RANGE", text);
                return Err(status::violation(violation));
            }
        };
        let decision_id = decision::id(node, caller, asked.request_id);
        let asked = under_new_id(node, asked).map_err(|fault| status::faulty(&fault))?;
        let begun = node.subscribe(&asked, &id, None).await.map_err(status::failed)?;
        let mut deliveries =
            begun.map_err(|refusal| not_begun(refusal, "subscription", &decision_id))?;
        let recalls = recall::pulled(node, caller).await.map_err(|fault| status::faulty(&fault))?;
        let outgoing = deliveries.take(credit).await.map_err(ended)?;
        let lines = shown::lines(node, (agency, &id), outgoing);
        let lines = lines.map_err(|fault| status::faulty(&fault))?;
        let bytes = recalls.iter().map(|recall| recall.encoded_len().saturating_add(8)).sum();
        let (released, deliveries) = within(node, lines, bytes);
        let pulled = PullRecordsResponse { deliveries, decision_id, recalls };
        let mut response = Response::new(pulled);
        response.extensions_mut().insert(GateTicket(released));
        Ok(response)
    }

    pub(super) async fn acknowledge(
        &self,
        caller: &Caller,
        request: AcknowledgeRecordsRequest,
    ) -> Result<Response<AcknowledgeRecordsResponse>, Status> {
        let AcknowledgeRecordsRequest { context, request_id, subscription, through_cursor, nacks } =
            request;
        let node = self.node();
        let asked = context::asked(node, caller, (context, &request_id), None)?;
        let (agency, id) = own(caller, &subscription, "subscription")?;
        let known = node.read(|state| {
            state.agency_number(agency).and_then(|number| state.subscription_number(number, &id))
        });
        if known.is_none() {
            return Err(status::not_available(""));
        }
        if limit::RELEASE_LINES_MAX < nacks.len() {
            let text =
                "at most 64 deliveries are refused at once; send the rest in another request";
            return Err(status::violation(Violation::new("nacks", "OUT_OF_RANGE", text)));
        }
        let through = match through_cursor.as_str() {
            "" => 0,
            cursor => delivery(node, (agency, &id), cursor)?,
        };
        let refused: BTreeMap<_, _> = nacks
            .iter()
            .map(|nack| refusal(node, (agency, &id), nack))
            .collect::<Result<_, _>>()?;
        let kind = acknowledgement(&id, through, &refused);
        let done = act::propose(node, caller, (&asked, None, false), ("", kind)).await?;
        let decision_id = done.decision_id;
        Ok(Response::new(AcknowledgeRecordsResponse { decision_id }))
    }
}

/// The deliveries that one answer can hold. The rest did not leave, and comes with a later answer.
fn within(node: &Node, lines: Vec<Line>, mut bytes: usize) -> (Vec<Released>, Vec<Delivery>) {
    let (mut released, mut deliveries, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        // Eight bytes more for the field's tag and length.
        bytes = bytes.saturating_add(line.delivery.encoded_len()).saturating_add(8);
        if bytes <= PULL_BYTES_MAX {
            released.push(line.released);
            deliveries.push(line.delivery);
        } else {
            left.push(line.released);
        }
    }
    node.not_sent(&left);
    (released, deliveries)
}

/// A subscription of the caller's own; another agency's is as if it were not there.
pub(super) fn own<'a>(
    caller: &'a Caller,
    subscription: &str,
    field: &str,
) -> Result<(&'a AgencyId, SubscriptionId), Status> {
    let (_, own) = caller.agency()?;
    let (agency, id) = name::parse_owned(subscription, field).map_err(status::violation)?;
    if agency == *own { Ok((own, id)) } else { Err(status::not_available("")) }
}

/// The same under a request id that nobody used: reading a subscription may be repeated as it is, and moves its place
/// anew each time.
pub(super) fn under_new_id(node: &Node, asked: Asked) -> Result<Asked, Fault> {
    let request_id = node.entropy().request_id(node.now()?);
    Ok(Asked { request_id, ..asked })
}

/// The delivery of a cursor.
///
/// # Errors
/// `CURSOR_INVALID`, whether it is malformed or was made for another agency or subscription.
pub(super) fn delivery(
    node: &Node,
    (agency, id): (&AgencyId, &SubscriptionId),
    cursor: &str,
) -> Result<u64, Status> {
    node.delivery_of(agency, id, cursor).map_err(|_| cursor_invalid())
}

pub(super) fn cursor_invalid() -> Status {
    let message = "the cursor was not made for this agency and subscription; use one that it gave";
    status::told(Reason::CursorInvalid, message)
}

/// The delivery that a caller refuses, and why.
pub(super) fn refusal(
    node: &Node,
    owner: (&AgencyId, &SubscriptionId),
    nack: &DeliveryNack,
) -> Result<(u64, NackReason), Status> {
    let DeliveryNack { cursor, reason } = nack;
    let reason = NackReason::try_from(*reason)
        .ok()
        .filter(|reason| *reason != NackReason::Unspecified)
        .ok_or_else(|| {
            let text = "a refusal says why; choose one of the published reasons";
            status::violation(Violation::new("nack.reason", "UNKNOWN_CODE", text))
        })?;
    Ok((delivery(node, owner, cursor)?, reason))
}

/// The command that acknowledges and refuses deliveries.
pub(super) fn acknowledgement(
    id: &SubscriptionId,
    through: u64,
    nacks: &BTreeMap<u64, NackReason>,
) -> Kind {
    let nacks = nacks
        .iter()
        .map(|(delivery, reason)| ledger::Nack { delivery: *delivery, reason: i32::from(*reason) })
        .collect();
    Kind::Acknowledge(ledger::Acknowledge { subscription: id.to_string(), through, nacks })
}

/// Why a subscription cannot be read.
pub(super) fn not_begun(refusal: Refusal, field: &str, decision: &str) -> Status {
    if refusal == Refusal::DeliveryUnknown {
        cursor_invalid()
    } else {
        status::refused(refusal, field, decision)
    }
}

/// Why a pull gives nothing. Whoever was overtaken by another reader may pull again.
pub(super) fn ended(ended: Ended) -> Status {
    match ended {
        Ended::TakenOver | Ended::Sought => status::faulty(&Fault::Busy),
        Ended::Removed => status::not_available(""),
        Ended::Suspended => status::denied(Denied::Suspended),
        Ended::Fault(fault) => status::faulty(&fault),
    }
}
