//! Decision ids: what a caller quotes when it asks about an answer. Opaque, and no two alike.
//!
//! One is sealed for the exchange and not for its holder, so that the agency whose record a decision was about can open
//! what another one quotes (`ExplainDecision`). Its length and form never tell what was decided, nor whether anything was.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::{
    machine::{Released, State, state::agency::AgencyNumber},
    model::{
        id::{AgencyId, RecordId, RequestId},
        order::{Position, UnixMillis},
    },
    node::Node,
    pb::ledger::v1::Purpose,
    seal::token::TokenScope,
    service::caller::Caller,
};

/// A decision about a record going to a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The version.
    pub record: RecordId,
    /// To whom.
    pub recipient: AgencyNumber,
    /// For what (`Purpose`).
    pub purpose: i32,
    /// The entry that released it; where nothing was released, the one that would have come next.
    pub position: Position,
    /// When it was decided.
    pub at: UnixMillis,
    /// Whether the recipient asked for it by name.
    pub by_name: bool,
    /// Whether it was released.
    pub released: bool,
}

/// What a decision id holds. Every field has a fixed length.
#[derive(BorshSerialize, BorshDeserialize)]
struct Content {
    /// Bits: about a record, by name, released.
    kind: u8,
    request: RequestId,
    record: RecordId,
    /// To whom; of a decision about no record, who asked.
    recipient: AgencyNumber,
    purpose: i32,
    position: Position,
    at: UnixMillis,
    random: [u8; 8],
}

const ABOUT_RECORD: u8 = 1;
const BY_NAME: u8 = 2;
const RELEASED: u8 = 4;

/// A new id for the decision about a request.
pub fn id(node: &Node, caller: &Caller, request: RequestId) -> String {
    seal(node, request, Err(caller))
}

/// A new id for the answer to a read.
pub fn of_read(node: &Node, caller: &Caller) -> String {
    id(node, caller, RequestId::from_bytes([0; 16]))
}

/// A new id for a decision about a record.
pub fn of_record(node: &Node, request: RequestId, decided: &Decided) -> String {
    seal(node, request, Ok(decided))
}

/// What is decided when a caller asks for a record by name, should it be refused now.
pub fn by_name(
    node: &Node,
    caller: &Caller,
    record: RecordId,
    purpose: Purpose,
) -> Option<Decided> {
    let (recipient, _) = caller.agency().ok()?;
    let position = node.read(|state| state.chain().next);
    let (purpose, at) = (i32::from(purpose), node.now().unwrap_or(UnixMillis::EPOCH));
    Some(Decided { record, recipient, purpose, position, at, by_name: true, released: false })
}

impl Decided {
    /// The same, released.
    #[must_use]
    pub fn by(self, released: &Released) -> Self {
        Self { position: released.position(), released: true, ..self }
    }

    /// The recipient's id.
    pub fn recipient_id(&self, state: &State) -> Option<AgencyId> {
        state.agency(self.recipient).map(|agency| agency.id.clone())
    }
}

/// The decision that an id is about; `None` if this exchange did not make it, or it was about no record.
pub fn open(node: &Node, id: &str) -> Option<Decided> {
    let bytes = with_scope(|scope| node.tokens().open(scope, id).ok())?;
    let content: Content = borsh::from_slice(&bytes).ok()?;
    let Content { kind, request: _, record, recipient, purpose, position, at, random: _ } = content;
    let (by_name, released) = (kind & BY_NAME != 0, kind & RELEASED != 0);
    let decided = Decided { record, recipient, purpose, position, at, by_name, released };
    (kind & ABOUT_RECORD != 0).then_some(decided)
}

fn seal(node: &Node, request: RequestId, decided: Result<&Decided, &Caller>) -> String {
    let about_none = |caller: &Caller| Decided {
        record: RecordId::from_bytes([0; 16]),
        recipient: caller.agency().map_or(AgencyNumber::MAX, |(number, _)| number),
        purpose: 0,
        position: Position::FIRST,
        at: node.now().unwrap_or(UnixMillis::EPOCH),
        by_name: false,
        released: false,
    };
    let about_record = decided.is_ok();
    let Decided { record, recipient, purpose, position, at, by_name, released } =
        decided.map_or_else(about_none, Clone::clone);
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let kind = bit(about_record, ABOUT_RECORD) | bit(by_name, BY_NAME) | bit(released, RELEASED);
    let random = node.entropy().bytes();
    let content = Content { kind, request, record, recipient, purpose, position, at, random };
    let sealed = borsh::to_vec(&content)
        .ok()
        .and_then(|bytes| with_scope(|scope| node.tokens().seal(scope, &bytes).ok()));
    sealed.unwrap_or_else(|| {
        tracing::error!("a decision id could not be sealed");
        String::new()
    })
}

fn with_scope<T>(with: impl FnOnce(&TokenScope<'_>) -> T) -> T {
    let agency = crate::service::token::nobody();
    with(&TokenScope { agency: &agency, purpose: &["exchange", "decision"] })
}
