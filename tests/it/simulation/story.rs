//! What happens in a simulation and what everybody saw of it: requests and their answers, records that left, ends.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use concordat::{
    machine::{Outcome, Receipt, outcome::Remembered},
    model::{
        digest::Digest,
        id::{AliasId, CaseId, ConsentId, RecordId, RequestId},
        order::TreeSize,
    },
    node::{Failure, Node, Outgoing, Publication},
    pb::ledger::v1::{self as pb, command::Kind},
};
use futures::future::{Either, select};

use super::{
    cast,
    exchange::{Exchange, yields},
};
use crate::ledger_samples::Dice;

/// One request, as its caller would repeat it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) name: &'static str,
    pub(crate) what: What,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Submit(Kind),
    Operate(Kind),
    Publish(Box<Publication>),
    AddClient(pb::Identifiers),
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) request: RequestId,
    pub(crate) outcome: Outcome,
    pub(crate) narrows: bool,
    /// The ledger's head when the answer came.
    pub(crate) size: TreeSize,
    pub(crate) root: Digest,
    /// How many entries were applied when the answer came.
    pub(crate) applied: u64,
}

/// A record that left the exchange.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) agency: &'static str,
    pub(crate) subscription: String,
    pub(crate) delivery: u64,
    pub(crate) record: RecordId,
    pub(crate) groups: BTreeSet<String>,
    /// The entry that released it.
    pub(crate) position: u64,
    /// How many entries were applied when it left, and how many were durable.
    pub(crate) applied: u64,
    pub(crate) durable: u64,
    pub(crate) now_ms: u64,
    pub(crate) body: Bytes,
}

/// Something that somebody saw.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Answered(Answered),
    /// The outcome of a request is unknown.
    #[expect(dead_code, reason = "it is told in the story")]
    Unknown(RequestId),
    Left(Left),
    /// The send gate held a released record back.
    #[expect(dead_code, reason = "it is told in the story")]
    Held(RecordId),
    Ended,
}

/// What callers know.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) aliases: BTreeMap<(&'static str, u64), AliasId>,
    pub(crate) consents: Vec<(&'static str, ConsentId)>,
    /// Cases of restriction, by who answers for them.
    pub(crate) cases: Vec<(&'static str, CaseId)>,
    /// Records by publisher and client, every version in its order.
    pub(crate) records: BTreeMap<(&'static str, u64), Vec<RecordId>>,
    pub(crate) bodies: BTreeMap<RecordId, Bytes>,
    /// By agency and subscription: the groups of each version that the recipient keeps.
    pub(crate) kept: BTreeMap<(&'static str, String), BTreeMap<RecordId, BTreeSet<String>>>,
    requests: Vec<Request>,
    answers: BTreeMap<(&'static str, RequestId), Receipt>,
}

/// A simulation.
pub(crate) struct Story {
    pub(crate) exchange: Exchange,
    pub(crate) events: RefCell<Vec<Event>>,
    pub(crate) known: RefCell<Known>,
}

impl Story {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self { exchange, events: RefCell::default(), known: RefCell::default() }
    }

    pub(crate) fn saw(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }

    /// Asks something for the first time.
    pub(crate) async fn ask(
        &self,
        dice: &mut Dice,
        name: &'static str,
        what: What,
    ) -> Option<Outcome> {
        let request = Request { id: self.exchange.request_id(), name, what };
        if let What::Publish(publication) = &request.what {
            let record = record_id(name, request.id);
            self.known.borrow_mut().bodies.insert(record, publication.body.clone());
        }
        self.known.borrow_mut().requests.push(request.clone());
        self.send(dice, request).await
    }

    /// Repeats some earlier request, known to have succeeded or not.
    pub(crate) async fn repeat(&self, dice: &mut Dice) {
        let request = {
            let known = self.known.borrow();
            let count = u64::try_from(known.requests.len()).unwrap();
            if count == 0 {
                return;
            }
            known.requests[usize::try_from(dice.below(count)).unwrap()].clone()
        };
        let _answer = self.send(dice, request).await;
    }

    async fn send(&self, dice: &mut Dice, request: Request) -> Option<Outcome> {
        yields(dice.below(4)).await;
        let node = self.exchange.node()?;
        let narrows = narrows(&request.what);
        let patience = if dice.below(24) == 0 { dice.below(12) } else { u64::MAX };
        let call = Box::pin(call(&node, &request));
        let result = if patience == u64::MAX {
            Some(call.await)
        } else {
            match select(call, Box::pin(yields(patience))).await {
                Either::Left((result, _)) => Some(result),
                Either::Right(_) => None, // the caller hangs up
            }
        };
        let Some(Ok(outcome)) = result else {
            self.saw(Event::Unknown(request.id));
            return None;
        };
        self.note(&request, &outcome);
        let (size, root) = node.ledger().head();
        let applied = node.read(|state| state.chain().next.number());
        let (request, answer) = (request.id, outcome.clone());
        let event = Answered { request, outcome: answer, narrows, size, root, applied };
        self.saw(Event::Answered(event));
        Some(outcome)
    }

    /// Checks that a request that succeeded before gets the same answer, and notes what it taught its caller.
    fn note(&self, request: &Request, outcome: &Outcome) {
        let mut known = self.known.borrow_mut();
        let Ok(receipt) = outcome else { return };
        let first =
            known.answers.entry((request.name, request.id)).or_insert_with(|| receipt.clone());
        assert_eq!(first, receipt, "G9: {request:?}");
        match (&request.what, receipt) {
            (What::Publish(publication), Receipt::Published { record, client, .. }) => {
                let number = client_number(&publication.identifiers);
                known.aliases.insert((request.name, number), *client);
                assert_eq!(*record, record_id(request.name, request.id));
                let versions = known.records.entry((request.name, number)).or_default();
                if !versions.contains(record) {
                    versions.push(*record);
                }
            }
            (What::AddClient(identifiers), Receipt::Answer(Remembered::Client(alias))) => {
                known.aliases.insert((request.name, client_number(identifiers)), *alias);
            }
            (What::Submit(_), Receipt::Answer(Remembered::Consent(consent)))
                if !known.consents.iter().any(|(_, id)| id == consent) =>
            {
                known.consents.push((request.name, *consent));
            }
            (What::Submit(_), Receipt::Answer(Remembered::Case(case)))
                if !known.cases.iter().any(|(_, id)| id == case) =>
            {
                known.cases.push((request.name, *case));
            }
            _ => {}
        }
    }

    /// Lets one released record go to its recipient, if the send gate agrees.
    pub(crate) fn pass(
        &self,
        node: &Node,
        (agency, subscription): (&'static str, &str),
        outgoing: &Outgoing,
    ) -> bool {
        let guard = node.gate_guard();
        let released = &outgoing.released;
        if !node.may_leave(released) {
            drop(guard);
            self.saw(Event::Held(released.record()));
            node.not_sent(std::slice::from_ref(released));
            return false;
        }
        let groups: BTreeSet<String> =
            released.group_names().iter().map(ToString::to_string).collect();
        let applied = node.read(|state| state.chain().next.number());
        self.saw(Event::Left(Left {
            agency,
            subscription: subscription.to_owned(),
            delivery: released.delivery(),
            record: released.record(),
            groups: groups.clone(),
            position: released.position().number(),
            applied,
            durable: node.ledger().head().0.count(),
            now_ms: node.now().unwrap().millis(),
            body: outgoing.body.clone(),
        }));
        if released.subscription().is_some() {
            let mut known = self.known.borrow_mut();
            let kept = known.kept.entry((agency, subscription.to_owned())).or_default();
            kept.entry(released.record()).or_default().extend(groups);
        }
        true
    }
}

async fn call(node: &Node, request: &Request) -> Result<Outcome, Failure> {
    let sharing = pb::Purpose::SchoolLeaverTransition;
    match &request.what {
        What::Submit(kind) => {
            let asked = cast::asked(request.name, sharing, request.id, Some(kind));
            node.submit(&asked, kind.clone(), None).await
        }
        What::Operate(kind) => node.submit(&cast::operator(request.id), kind.clone(), None).await,
        What::Publish(publication) => {
            let asked = cast::asked(request.name, sharing, request.id, None);
            node.publish(&asked, publication).await
        }
        What::AddClient(identifiers) => {
            let asked = cast::asked(request.name, sharing, request.id, None);
            node.add_client(&asked, identifiers).await
        }
    }
}

/// The id of the record that a request publishes, by the published derivation.
pub(crate) fn record_id(name: &str, request: RequestId) -> RecordId {
    let ledger = cast::ledger_id();
    let parts: [&[u8]; 3] = [ledger.as_bytes(), name.as_bytes(), request.as_bytes()];
    let second = request.unix_millis().unwrap_or_default() / 1_000;
    RecordId::derived_at(second, &Digest::of_parts("concordat.record.v1", &parts))
}

fn client_number(identifiers: &pb::Identifiers) -> u64 {
    identifiers.scn.parse::<u64>().unwrap() - 900_000_000
}

/// Whether less may leave once this is done.
pub(crate) fn narrows(what: &What) -> bool {
    let (What::Submit(kind) | What::Operate(kind)) = what else { return false };
    matches!(
        kind,
        Kind::WithdrawConsent(_)
            | Kind::RefuseConsent(_)
            | Kind::SuspendFlows(_)
            | Kind::EndAgreement(_)
            | Kind::PutPolicy(_)
            | Kind::RemovePolicy(_)
            | Kind::EndCaseload(_)
            | Kind::SuspendAgency(_)
            | Kind::RetractRecord(_)
            | Kind::DecideCase(_)
    )
}
