//! Who acts and why: the context that every request carries, parsed.

use tonic::Status;

use crate::{
    ledger::{Fault, checkpoint::Checkpoint},
    model::{id::RequestId, violation::Violation},
    node::{Asked, Node},
    pb::{
        ledger::v1::{ActorDetail, Purpose, ReadReason, Signature, StaffOffice},
        v1::{RequestContext, request_context::Actor},
    },
    service::{caller::Caller, status},
};

/// The greatest length of a staff id or role, in bytes.
const STAFF_BYTES_MAX: usize = 64;
/// The greatest length of a checkpoint that a caller shows, in bytes.
const CHECKPOINT_BYTES_MAX: usize = 1_024;

/// Why a request is made, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// Why.
    pub purpose: Purpose,
    /// The person who acts; `None` if a system acts by itself.
    pub staff: Option<ActorDetail>,
}

/// Parses a request's context, and compares the checkpoint that it shows with the ledger.
///
/// # Errors
/// A malformed field, or `LEDGER_DAMAGED` if the caller holds a checkpoint that this ledger does not continue (G7).
pub fn parse(node: &Node, context: Option<RequestContext>) -> Result<Context, Status> {
    let context = context.ok_or_else(|| status::missing("context"))?;
    let RequestContext { purpose, actor, held_checkpoint } = context;
    let parsed = Context { purpose: purpose_of(purpose)?, staff: staff_of(actor)? };
    if !held_checkpoint.is_empty() {
        compare(node, &held_checkpoint)?;
    }
    Ok(parsed)
}

/// Parses everything that a mutating request asks with.
///
/// # Errors
/// As [`parse`], or a malformed request id.
pub fn asked(
    node: &Node,
    caller: &Caller,
    (context, request_id): (Option<RequestContext>, &str),
    signature: Option<Signature>,
) -> Result<Asked, Status> {
    let Context { purpose, staff } = parse(node, context)?;
    let request_id = request_id_of(request_id, "request_id")?;
    Ok(Asked { actor: caller.authority()?, purpose, staff, request_id, signature })
}

/// A request id: a UUIDv7 in its text form (RFC 9562).
///
/// # Errors
/// A violation at `field`.
pub fn request_id_of(text: &str, field: &str) -> Result<RequestId, Status> {
    // 36 characters: the form with hyphens, and none of the others that the parser takes.
    let uuid = uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
    let id = uuid.map(|uuid| RequestId::from_bytes(uuid.into_bytes()));
    id.filter(|id| id.unix_millis().is_some()).ok_or_else(|| {
        let description = "a request id is a UUIDv7 with hyphens; draw a new one for each request";
        status::violation(Violation::new(field, "MALFORMED_ID", description))
    })
}

/// Holds that a read about a person says why.
///
/// # Errors
/// A violation at `reason`.
pub fn read_reason(reason: i32) -> Result<ReadReason, Status> {
    ReadReason::try_from(reason)
        .ok()
        .filter(|reason| !matches!(reason, ReadReason::Unspecified | ReadReason::Emergency))
        .ok_or_else(|| {
            let description = "a read about a person says why; choose one of the published reasons";
            status::violation(Violation::new("reason", "UNKNOWN_CODE", description))
        })
}

fn purpose_of(purpose: i32) -> Result<Purpose, Status> {
    Purpose::try_from(purpose).ok().filter(|purpose| *purpose != Purpose::Unspecified).ok_or_else(
        || {
            let description = "a request says why it is made; choose one of the published purposes";
            status::violation(Violation::new("context.purpose", "UNKNOWN_CODE", description))
        },
    )
}

fn staff_of(actor: Option<Actor>) -> Result<Option<ActorDetail>, Status> {
    match actor {
        Some(Actor::Unattended(true)) => Ok(None),
        Some(Actor::Unattended(false)) => Err(status::violation(Violation::new(
            "context.unattended",
            "ONLY_TRUE",
            "say `true`, or name the member of staff who acts",
        ))),
        Some(Actor::Staff(detail)) => {
            let ActorDetail { staff_id, role, office } = &detail;
            let fields = [("context.staff.staff_id", staff_id), ("context.staff.role", role)];
            let violations = fields
                .into_iter()
                .filter(|(_, text)| text.is_empty() || STAFF_BYTES_MAX < text.len())
                .map(|(field, _)| Violation::new(field, "OUT_OF_RANGE", "1 to 64 bytes"));
            let unknown = StaffOffice::try_from(*office).is_err().then(|| {
                let text = "the code is not one of the published ones";
                Violation::new("context.staff.office", "UNKNOWN_CODE", text)
            });
            let violations: Vec<_> = violations.chain(unknown).collect();
            if violations.is_empty() {
                Ok(Some(detail))
            } else {
                Err(status::malformed(&violations))
            }
        }
        None => Err(status::violation(Violation::new(
            "context.actor",
            "MISSING",
            "name the member of staff who acts, or say that the system acts unattended",
        ))),
    }
}

/// Compares a checkpoint that the caller holds with the ledger.
fn compare(node: &Node, shown: &str) -> Result<(), Status> {
    let refuse = |description: String| {
        let field = "context.held_checkpoint";
        status::violation(Violation::new(field, "MALFORMED_CHECKPOINT", description))
    };
    if CHECKPOINT_BYTES_MAX < shown.len() {
        return Err(refuse("a checkpoint has at most 1,024 bytes".to_owned()));
    }
    let (origin, key) =
        node.read(|state| (format!("concordat/{}", state.ledger()), state.chain().checkpoint_key));
    let held = Checkpoint::verify(shown, &origin, &key)
        .map_err(|error| refuse(format!("{error}; send the latest that this exchange gave")))?;
    let root = node.ledger().root_at(held.size).map_err(|fault| status::faulty(&fault))?;
    if root == Some(held.root) {
        return Ok(());
    }
    let text =
        format!("a caller holds a checkpoint of size {} that is not of this ledger", held.size);
    let fault = Fault::Corrupt(text);
    // Only the ledger's own key could sign it: this is an old or a second history, and nothing of it may be served.
    node.halt(&fault);
    Err(status::faulty(&fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_uuid_of_version_7_in_one_form() {
        let good = "01990b5e-7c00-7000-8000-000000000001";
        assert!(request_id_of(good, "request_id").is_ok());
        for bad in [
            "",
            "01990b5e7c0070008000000000000001",
            "{01990b5e-7c00-7000-8000-000000000001}",
            "urn:uuid:01990b5e-7c00-7000-8000-000000000001",
            "01990b5e-7c00-4000-8000-000000000001",
        ] {
            let status = request_id_of(bad, "request_id").unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn whoever_acts_is_named_or_is_no_person() {
        let staff = |staff_id: &str, role: &str| {
            Some(Actor::Staff(ActorDetail {
                staff_id: staff_id.to_owned(),
                role: role.to_owned(),
                office: 0,
            }))
        };
        assert_eq!(staff_of(Some(Actor::Unattended(true))).unwrap(), None);
        assert!(staff_of(staff("s-17", "guidance teacher")).unwrap().is_some());
        for bad in
            [None, Some(Actor::Unattended(false)), staff("", "role"), staff("id", &"r".repeat(65))]
        {
            assert!(staff_of(bad).is_err());
        }
    }
}
