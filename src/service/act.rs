//! A command and its answer: what every mutating request has in common.

use tonic::Status;

use crate::{
    machine::{Outcome, Receipt, Refusal, command::Kind},
    model::{id::RequestId, violation::Violation},
    node::{Asked, Node},
    pb::{
        ledger::v1::{AgreementTexts, Evidence, Signature, command},
        v1::RequestContext,
    },
    service::{caller::Caller, context, decision, status},
};

/// The greatest length of a reference to evidence, in bytes.
const EVIDENCE_BYTES_MAX: usize = 256;

/// What a mutating request carries beside its command.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Who acts and why.
    pub context: Option<RequestContext>,
    /// The caller's name for the request.
    pub request_id: String,
    /// The agency's signature, where the command needs one.
    pub signature: Option<Signature>,
    /// Where evidence is kept.
    pub evidence: Option<Evidence>,
    /// Whether the request is only to be checked.
    pub validate_only: bool,
}

/// What rides sealed beside a command.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Where evidence is kept.
    pub evidence: Option<Evidence>,
    /// The texts of an agreement.
    pub texts: Option<AgreementTexts>,
}

impl From<Option<Evidence>> for Beside {
    fn from(evidence: Option<Evidence>) -> Self {
        Self { evidence, texts: None }
    }
}

/// What became of a request that was not refused.
#[derive(Debug)]
pub struct Done {
    /// What the machine answers; `None` if the request was only checked.
    pub receipt: Option<Receipt>,
    /// The decision's opaque id; empty if the request was only checked.
    pub decision_id: String,
}

/// Proposes a command in the caller's name, or only checks it. `field` is the request's field that holds it.
///
/// # Errors
/// A malformed field, a refusal or a fault.
pub async fn act(
    node: &Node,
    caller: &Caller,
    envelope: Envelope,
    (field, kind): (&str, command::Kind),
) -> Result<Done, Status> {
    let Envelope { context, request_id, signature, evidence, validate_only } = envelope;
    let asked = context::asked(node, caller, (context, &request_id), signature)?;
    propose(node, caller, (&asked, evidence, validate_only), (field, kind)).await
}

/// As [`act`], for a request that is parsed already.
///
/// # Errors
/// A malformed field, a refusal or a fault.
pub async fn propose(
    node: &Node,
    caller: &Caller,
    (asked, beside, validate_only): (&Asked, impl Into<Beside>, bool),
    (field, kind): (&str, command::Kind),
) -> Result<Done, Status> {
    let Beside { evidence, texts } = beside.into();
    let parsed = Kind::try_from(kind.clone());
    let _parsed = parsed.map_err(|violation| status::violation(violation.inside(field)))?;
    if evidence.as_ref().is_some_and(|evidence| EVIDENCE_BYTES_MAX < evidence.reference.len()) {
        let text = "a reference has at most 256 bytes";
        return Err(status::violation(Violation::new("evidence.reference", "OUT_OF_RANGE", text)));
    }
    if validate_only {
        let checked = node.check(asked, kind).map_err(status::failed)?;
        return match checked {
            Ok(()) => Ok(Done { receipt: None, decision_id: String::new() }),
            Err(refusal) => Err(refused(node, caller, asked.request_id, (refusal, field))),
        };
    }
    let sealed = (evidence.as_ref(), texts.as_ref());
    let outcome = node.submit_beside(asked, kind, sealed).await.map_err(status::failed)?;
    done(node, caller, asked.request_id, (outcome, field))
}

/// The answer to an outcome.
///
/// # Errors
/// The refusal.
pub fn done(
    node: &Node,
    caller: &Caller,
    request: RequestId,
    (outcome, field): (Outcome, &str),
) -> Result<Done, Status> {
    match outcome {
        Ok(receipt) => {
            let decision_id = decision::id(node, caller, request);
            Ok(Done { receipt: Some(receipt), decision_id })
        }
        Err(refusal) => Err(refused(node, caller, request, (refusal, field))),
    }
}

fn refused(
    node: &Node,
    caller: &Caller,
    request: RequestId,
    (refusal, field): (Refusal, &str),
) -> Status {
    status::refused(refusal, field, &decision::id(node, caller, request))
}

/// The command of a request.
///
/// # Errors
/// A violation if the field is missing.
pub fn required<T>(command: Option<T>, field: &str) -> Result<T, Status> {
    command.ok_or_else(|| status::missing(field))
}
