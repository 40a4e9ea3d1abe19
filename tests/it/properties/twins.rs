//! Twin exchanges: what an agency may not see changes no byte of what it is answered (G8).
//!
//! Two exchanges of the same seed. In one, other agencies also publish, consent, claim and forbid where the college has no
//! part; in the other they do not. The college asks both the same things: its own, unknown ones, and by name what exists in
//! one of them only. Answers are compared as the API shows them; what the node draws at random (salts, nonces, keys, the
//! exchange's own client ids) differs between the twins and must not show. Time to an answer is not compared here.

use std::collections::BTreeSet;

use concordat::{
    machine::{Outcome, Receipt},
    model::id::{RecordId, RequestId, SubscriptionId},
    node::{Deliveries, Failure, Node, Outgoing},
    pb::ledger::v1::{self as pb, command::Kind},
};

use crate::{
    ledger_samples::Dice,
    simulation::{
        cast::{self, GROUPS, POLICIES, POLICY_TEXTS},
        exchange::{Exchange, run},
    },
};

const COLLEGE: &str = "college";
const SHARING: pb::Purpose = pb::Purpose::SchoolLeaverTransition;
/// How often the college asks in one pair of twins.
const CALLS: u64 = 220;

/// One of the twins.
struct Twin {
    exchange: Exchange,
    node: Node,
    /// Whether there is more than the college may see.
    more: bool,
    /// What the college asks for.
    dice: Dice,
    /// What others do in both.
    shared: Dice,
    /// What others do in one.
    hidden: Dice,
    /// How many requests each has made: nobody, those who act in both twins, those in one, the college.
    drawn: [u64; 4],
    stream: Option<Deliveries>,
    answers: Vec<String>,
    /// Ids that the college was given.
    own: Vec<[u8; 16]>,
    own_requests: Vec<(RequestId, Kind)>,
    /// Ids that only others were given.
    foreign: BTreeSet<[u8; 16]>,
    last_delivery: u64,
}

impl Twin {
    async fn born(seed: u64, more: bool) -> Self {
        let exchange = Exchange::found(seed).await;
        exchange.gather().await;
        exchange.agree("college-leavers", 300).await;
        let node = exchange.node().unwrap();
        Self {
            exchange,
            node,
            more,
            dice: Dice(seed),
            shared: Dice(seed ^ 1),
            hidden: Dice(seed ^ 2),
            drawn: [0; 4],
            stream: None,
            answers: Vec::new(),
            own: Vec::new(),
            own_requests: Vec::new(),
            foreign: BTreeSet::new(),
            last_delivery: 0,
        }
    }

    /// A request id that depends on nothing but whose turn it is.
    fn request_id(&mut self, who: u8) -> RequestId {
        let drawn = &mut self.drawn[usize::from(who)];
        *drawn += 1;
        let mut bytes = [0; 10];
        bytes[1] = who;
        bytes[2..].copy_from_slice(&drawn.to_be_bytes());
        let now = self.exchange.clock.clock().now().millis();
        let uuid = uuid::Builder::from_unix_timestamp_millis(now, &bytes).into_uuid();
        RequestId::from_bytes(*uuid.as_bytes())
    }

    /// Lets sweeps end, so that both twins have offered all there is.
    async fn settle(&self) {
        for _ in 0..1_000 {
            if self.node.read(|state| state.tables().sweeps.is_empty()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the sweeps do not end");
    }

    async fn other(&mut self, name: &'static str, request: RequestId, kind: Kind) {
        let asked = cast::asked(name, SHARING, request, Some(&kind));
        let outcome = self.node.submit(&asked, kind, None).await.unwrap();
        self.keep(&outcome);
    }

    fn keep(&mut self, outcome: &Outcome) {
        self.foreign.extend(ids(outcome));
    }

    async fn publish_as(&mut self, name: &'static str, request: RequestId, client: u64, mark: u64) {
        let groups = &GROUPS[..=usize::try_from(mark % 3).unwrap()];
        let identifiers = cast::identifiers(name, client);
        let publication = cast::publication(identifiers, groups, mark, None);
        let asked = cast::asked(name, SHARING, request, None);
        let outcome = self.node.publish(&asked, &publication).await.unwrap();
        self.keep(&outcome);
    }

    /// What others do in both twins, and the college may see some of: the council publishes about clients 0 to 3 and
    /// records their consents.
    async fn shared_step(&mut self) {
        let (client, mark, what) = (self.shared.below(4), self.shared.roll(), self.shared.below(3));
        let request = self.request_id(1);
        if what != 0 {
            return self.publish_as("council", request, client, mark).await;
        }
        let asked = cast::asked("council", SHARING, request, None);
        let identifiers = cast::identifiers("council", client);
        let Ok(outcome) = self.node.add_client(&asked, &identifiers).await else { return };
        let alias = ids(&outcome)[0];
        let scope = Some(cast::scope(&alias, "council", &GROUPS[..2]));
        let act = Some(cast::act());
        let kind = Kind::RecordConsent(pb::RecordConsent {
            scope,
            act,
            expires_at_ms: 0,
            ..pb::RecordConsent::default()
        });
        let request = self.request_id(1);
        self.other("council", request, kind).await;
    }

    /// What others do in one twin only. The college may see none of it: there is no consent to shire's records, nor to the
    /// council's about clients 4 to 9, and claims and policies of others are not its business. Some of these clients the
    /// college knows, some it comes to know later.
    async fn hidden_step(&mut self) {
        let (client, mark) = (self.hidden.below(10), self.hidden.roll());
        let request = self.request_id(2);
        match self.hidden.below(6) {
            0 | 1 => self.publish_as("shire", request, client, mark).await,
            2 => self.publish_as("council", request, 4 + client % 6, mark).await,
            3 => {
                let asked = cast::asked("charity", SHARING, request, None);
                let identifiers = cast::identifiers("charity", client);
                let outcome = self.node.add_client(&asked, &identifiers).await.unwrap();
                self.keep(&outcome);
                let client = ids(&outcome)[0].to_vec().into();
                let claim = Kind::OpenCaseload(pb::OpenCaseload { client });
                let request = self.request_id(2);
                self.other("charity", request, claim).await;
            }
            4 => {
                let (policy, text) = (POLICIES[0].0.to_owned(), POLICY_TEXTS[0].clone());
                let put = Kind::PutPolicy(pb::PutPolicy { policy, text, schema_version: 1 });
                self.other("health", request, put).await;
            }
            _ => self.refusal_of_nobodys_business(request, client).await,
        }
    }

    /// A refusal where nothing was shared anyway: shire's client says no.
    async fn refusal_of_nobodys_business(&mut self, request: RequestId, client: u64) {
        let asked = cast::asked("shire", SHARING, request, None);
        let identifiers = cast::identifiers("shire", client);
        let outcome = self.node.add_client(&asked, &identifiers).await.unwrap();
        self.keep(&outcome);
        let scope = Some(cast::scope(&ids(&outcome)[0], "shire", &GROUPS));
        let kind = Kind::RefuseConsent(pb::RefuseConsent { scope, act: Some(cast::act()) });
        let request = self.request_id(2);
        self.other("shire", request, kind).await;
    }

    /// An id: the college's own, one that only others were given in the twin that has more, or nobody's.
    fn some_id(&mut self, foreign: &[[u8; 16]]) -> [u8; 16] {
        let (which, place) = (self.dice.below(5), self.dice.roll());
        let from = if which < 2 { foreign } else { &self.own };
        let count = u64::try_from(from.len()).unwrap();
        if which == 4 || count == 0 {
            return self.dice.salt();
        }
        from[usize::try_from(place % count).unwrap()]
    }

    /// One call of the college.
    async fn call(&mut self, foreign: &[[u8; 16]]) {
        let request = self.request_id(3);
        let id = self.some_id(foreign);
        let client = self.dice.below(10);
        let answer = match self.dice.below(14) {
            0 => {
                let asked = cast::asked(COLLEGE, SHARING, request, None);
                let identifiers = cast::identifiers(COLLEGE, client);
                let outcome = self.node.add_client(&asked, &identifiers).await;
                self.shown(&outcome)
            }
            1..=3 => self.publish(request, client, id).await,
            4..=5 => self.open(request, id).await,
            6..=8 => self.pull().await,
            9 => self.repeat().await,
            _ => {
                let kind = self.command(id, client);
                self.submit(request, kind).await
            }
        };
        self.answers.push(answer);
    }

    fn shown(&mut self, outcome: &Result<Outcome, Failure>) -> String {
        if let Ok(outcome) = outcome {
            for id in ids(outcome) {
                if !self.own.contains(&id) {
                    self.own.push(id);
                }
            }
        }
        format!("{outcome:?}")
    }

    async fn submit(&mut self, request: RequestId, kind: Kind) -> String {
        self.own_requests.push((request, kind.clone()));
        let asked = cast::asked(COLLEGE, SHARING, request, Some(&kind));
        let outcome = self.node.submit(&asked, kind, None).await;
        self.shown(&outcome)
    }

    /// An earlier request, as it was or with other content.
    async fn repeat(&mut self) -> String {
        let count = u64::try_from(self.own_requests.len()).unwrap();
        if count == 0 {
            return String::new();
        }
        let place = usize::try_from(self.dice.below(count)).unwrap();
        let (request, kind) = self.own_requests[place].clone();
        let other = self.own_requests[self.own_requests.len() - 1].1.clone();
        let kind = if self.dice.below(3) == 0 { other } else { kind };
        self.submit(request, kind).await
    }

    async fn publish(&mut self, request: RequestId, client: u64, id: [u8; 16]) -> String {
        let supersedes = (self.dice.below(3) == 0).then(|| RecordId::from_bytes(id));
        let identifiers = cast::identifiers(COLLEGE, client);
        let mark = self.dice.roll();
        let publication = cast::publication(identifiers, &GROUPS[..2], mark, supersedes);
        let asked = cast::asked(COLLEGE, SHARING, request, None);
        let outcome = self.node.publish(&asked, &publication).await;
        self.shown(&outcome)
    }

    async fn open(&mut self, request: RequestId, id: [u8; 16]) -> String {
        let asked = cast::asked(COLLEGE, SHARING, request, None);
        let reason = pb::ReadReason::Service;
        let opened = self.node.open_record(&asked, RecordId::from_bytes(id), reason).await;
        format!("{:?}", opened.map(|opened| opened.map(|line| self.line(&line))))
    }

    async fn pull(&mut self) -> String {
        self.settle().await;
        let id: SubscriptionId = "first".parse().unwrap();
        if self.stream.is_none() || self.dice.below(6) == 0 {
            let request = self.request_id(3);
            let asked = cast::asked(COLLEGE, SHARING, request, None);
            self.stream = self.node.subscribe(&asked, &id, None).await.unwrap().ok();
        }
        let credit = 1 + usize::try_from(self.dice.below(4)).unwrap();
        let Some(stream) = &mut self.stream else { return "none".to_owned() };
        let lines = match stream.take(credit).await {
            Ok(lines) => lines,
            Err(ended) => {
                self.stream = None; // the agency itself moved or removed what it reads
                return format!("{ended:?}");
            }
        };
        let shown: Vec<String> = lines.iter().map(|line| self.line(line)).collect();
        for line in &lines {
            self.last_delivery = line.released.delivery();
        }
        let cursor = self.node.cursor(&cast::agency(COLLEGE), &id, self.last_delivery).unwrap();
        // Cursors are opaque and of one length; their bytes are under a key of the exchange's own.
        format!("{shown:?} {}", cursor.len())
    }

    /// A record as its recipient sees it.
    fn line(&mut self, line: &Outgoing) -> String {
        let released = &line.released;
        for id in [*released.record().as_bytes(), *released.alias().as_bytes()] {
            if !self.own.contains(&id) {
                self.own.push(id);
            }
        }
        let publisher =
            self.node.read(|state| state.agency(released.publisher()).map(|row| row.id.clone()));
        format!(
            "{} {:?} {} {} {:?} {:?} {} {} {:?} {:?} {}",
            released.delivery(),
            publisher,
            released.record(),
            released.alias(),
            released.supersedes(),
            released.group_names(),
            released.version(),
            released.published_at().millis(),
            line.grants,
            line.body,
            self.node.may_leave(released),
        )
    }

    /// Consents, caseloads, subscriptions, acknowledgements, policies: sound ones and others.
    fn command(&mut self, id: [u8; 16], place: u64) -> Kind {
        let bytes = bytes::Bytes::copy_from_slice(&id);
        let agency = ["charity", COLLEGE, "council"][usize::try_from(place % 3).unwrap()];
        let agency = agency.to_owned();
        let publisher = if place.is_multiple_of(2) { "council" } else { "shire" };
        let scope = Some(cast::scope(&id, publisher, &GROUPS[..2]));
        let act = Some(cast::act());
        let subscription = if place < 8 { "first" } else { "other" }.to_owned();
        match self.dice.below(10) {
            0 if place < 5 => Kind::RefuseConsent(pb::RefuseConsent { scope, act }),
            0 => {
                // One that no flow waits for: a consent that is asked for would rightly show more.
                let gate = i32::from(pb::Gate::StatutoryConsent);
                let scope = scope.map(|scope| pb::ConsentScope { gate, ..scope });
                Kind::RecordConsent(pb::RecordConsent {
                    scope,
                    act,
                    expires_at_ms: 0,
                    ..pb::RecordConsent::default()
                })
            }
            1 => Kind::WithdrawConsent(pb::WithdrawConsent {
                consent: bytes,
                recipients: Vec::new(),
                recall: self.dice.below(2) == 0,
                ..pb::WithdrawConsent::default()
            }),
            2 => Kind::OpenCaseload(pb::OpenCaseload { client: bytes }),
            3 => Kind::ConfirmCaseload(pb::ConfirmCaseload { client: bytes, agency }),
            4 => Kind::EndCaseload(pb::EndCaseload { client: bytes, agency }),
            5 | 6 => {
                let through = self.last_delivery.min(self.last_delivery * place / 6);
                Kind::Acknowledge(pb::Acknowledge { subscription, through, nacks: Vec::new() })
            }
            7 => {
                Kind::SeekSubscription(pb::SeekSubscription { subscription, after_delivery: place })
            }
            8 => Kind::RemovePolicy(pb::RemovePolicy { policy: POLICIES[0].0.to_owned() }),
            _ => Kind::CreateSubscription(pb::CreateSubscription {
                subscription,
                record_types: vec![cast::LEAVER_FORM.to_owned()],
            }),
        }
    }
}

/// The ids in an answer.
fn ids(outcome: &Outcome) -> Vec<[u8; 16]> {
    use concordat::machine::outcome::Remembered;
    match outcome {
        Ok(Receipt::Published { record, client, .. }) => {
            vec![*record.as_bytes(), *client.as_bytes()]
        }
        Ok(Receipt::Answer(Remembered::Client(alias))) => vec![*alias.as_bytes()],
        Ok(Receipt::Answer(Remembered::Consent(id))) => vec![*id.as_bytes()],
        _ => Vec::new(),
    }
}

/// Plays one twin: every answer of the college, the ids that only others were given, and how much there is.
async fn played(seed: u64, more: bool, foreign: &[[u8; 16]]) -> (Vec<String>, Vec<[u8; 16]>, u64) {
    let mut twin = Twin::born(seed, more).await;
    for _ in 0..CALLS {
        twin.exchange.clock.advance(1_000);
        if twin.more {
            twin.hidden_step().await;
        }
        if twin.shared.below(3) == 0 {
            twin.shared_step().await;
        }
        twin.call(foreign).await;
    }
    let size = twin.node.ledger().head().0.count();
    let own = twin.own;
    let foreign = twin.foreign.into_iter().filter(|id| !own.contains(id)).collect();
    (twin.answers, foreign, size)
}

#[test]
fn what_an_agency_may_not_see_changes_no_byte_of_its_answers() {
    let mut kinds = BTreeSet::new();
    for seed in 0..5 {
        let (_, foreign, _) = run(played(seed, true, &[]));
        let (answers, _, larger) = run(played(seed, true, &foreign));
        let (alike, _, smaller) = run(played(seed, false, &foreign));
        assert!(smaller + CALLS < larger, "the twins do not differ");
        for (place, (one, other)) in answers.iter().zip(&alike).enumerate() {
            assert_eq!(one, other, "seed {seed}, call {place}");
        }
        let delivered = answers.iter().filter(|answer| answer.contains("true")).count();
        assert!(5 < delivered, "the college was sent too little to show anything: {delivered}");
        kinds.extend(answers.into_iter().filter(|answer| answer.starts_with("Ok(Err")));
    }
    assert!(8 <= kinds.len(), "too few refusals: {kinds:?}");
}
