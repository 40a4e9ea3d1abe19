//! Random histories of commands: of every kind, sound and unsound, by everybody, repeated and malformed.

use concordat::{
    machine::{
        Receipt,
        command::agreement::example,
        outcome::Remembered,
        read::offers,
        state::{SCHEMA, subscription::SubscriptionNumber},
    },
    model::order::UnixMillis,
    pb::ledger::v1::{self as pb, command::Kind},
};

use super::super::{
    ledger_samples::Dice,
    machine::world::{
        By, DAY_MS, LEAVER_FORM, Signing, World, client, consented_flow, digest, flow, owned,
        statutory_flow,
    },
    simulation::cast::POLICY_TEXTS,
};

/// The agencies that act.
const AGENCIES: [&str; 4] = ["council", "college", "charity", "stranger"];
const GROUPS: [&str; 3] = ["core", "destination", "support-needs"];
const SUBSCRIPTIONS: [&str; 2] = ["first", "second"];

/// A world that a seed has played in.
pub(crate) struct History {
    pub(crate) world: World,
    dice: Dice,
    aliases: Vec<(&'static str, Vec<u8>)>,
    keys: u8,
    records: Vec<Vec<u8>>,
    consents: Vec<Vec<u8>>,
    cases: Vec<Vec<u8>>,
    stands: (u32, Vec<u8>),
}

/// Plays so many steps.
pub(crate) fn history(seed: u64, steps: u64) -> History {
    let mut world = World::of_partners();
    let flows = vec![
        pb::Flow { backfill: true, ..flow("plain", "council", &["charity"]) },
        consented_flow("consented", "council", &["college"]),
        pb::Flow {
            caseload: i32::from(pb::CaseloadRule::Confirmed),
            groups: owned(&["core", "destination"]),
            ..flow("caseload", "council", &["college", "charity"])
        },
    ];
    let content = world.content(&["council", "college", "charity"], flows);
    world.activate("leavers", content);
    let mut history = History {
        world,
        dice: Dice(seed),
        aliases: Vec::new(),
        keys: 0,
        records: Vec::new(),
        consents: Vec::new(),
        cases: Vec::new(),
        stands: (1, vec![0; 32]),
    };
    for name in ["college", "charity"] {
        history.act(name, subscription(SUBSCRIPTIONS[0]));
    }
    for _ in 0..steps {
        history.step();
    }
    history
}

fn subscription(id: &str) -> Kind {
    let (subscription, record_types) = (id.to_owned(), owned(&[LEAVER_FORM]));
    Kind::CreateSubscription(pb::CreateSubscription { subscription, record_types })
}

impl History {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let count = u64::try_from(from.len()).unwrap();
        from[usize::try_from(self.dice.below(count)).unwrap()]
    }

    fn groups(&mut self) -> Vec<String> {
        let groups: Vec<_> = GROUPS.iter().filter(|_| self.dice.below(2) == 0).copied().collect();
        if groups.is_empty() { owned(&["core"]) } else { owned(&groups) }
    }

    /// One of these, or bytes that mean nothing.
    fn one_of(&mut self, from: &[Vec<u8>]) -> Vec<u8> {
        let count = u64::try_from(from.len()).unwrap();
        let place = usize::try_from(self.dice.below(count + 1)).unwrap();
        from.get(place).cloned().unwrap_or_else(|| vec![250; 16])
    }

    fn alias(&mut self, name: &str) -> Vec<u8> {
        let own: Vec<_> =
            self.aliases.iter().filter(|(by, _)| *by == name).map(|(_, id)| id.clone()).collect();
        self.one_of(&own)
    }

    /// Applies a command for the agency, in its purpose.
    fn act(&mut self, name: &'static str, kind: Kind) {
        let request = self.world.request_id();
        let signing = match self.dice.below(30) {
            0 => Signing::Not,
            1 => Signing::As("stranger"),
            _ => Signing::Own,
        };
        let mut command = self.world.command(By::Agency(name), request, signing, kind);
        if self.dice.below(12) != 0 {
            command.purpose = i32::from(pb::Purpose::SchoolLeaverTransition);
        }
        let bytes = prost::Message::encode_to_vec(&command);
        let outcome = self.world.append(bytes);
        match outcome {
            Ok(Receipt::Answer(Remembered::Client(alias))) => {
                self.aliases.push((name, alias.as_bytes().to_vec()));
            }
            Ok(Receipt::Answer(Remembered::Consent(id))) => {
                self.consents.push(id.as_bytes().to_vec());
            }
            Ok(Receipt::Answer(Remembered::Agreement { version, content_hash })) => {
                self.stands = (version, content_hash.as_bytes().to_vec());
            }
            Ok(Receipt::Answer(Remembered::Case(id))) => self.cases.push(id.as_bytes().to_vec()),
            Ok(Receipt::Published { record, .. }) => self.records.push(record.as_bytes().to_vec()),
            _ => {}
        }
    }

    fn step(&mut self) {
        match self.dice.below(25) {
            0..=3 => self.publish(),
            4..=7 => self.release(),
            8..=9 => self.consent(),
            10..=11 => self.agreement(),
            12..=13 => self.case(),
            14..=16 => self.delivery(),
            17 => self.policy(),
            18 => self.operator(),
            19 => self.again(),
            20 => self.wait(),
            21 => self.recall(),
            22 => self.rights(),
            23 => self.erase(),
            _ => self.own(),
        }
    }

    /// An erasure, a hold, what the node states of the work, or a disposal.
    fn erase(&mut self) {
        let records = self.records.clone();
        let record: bytes::Bytes = self.one_of(&records).into();
        let by = AGENCIES[usize::try_from(self.dice.below(3)).unwrap()];
        let state = &self.world.state;
        let holds: Vec<_> =
            state.tables().holds.iter().map(|(id, _)| id.as_bytes().to_vec()).collect();
        let open = state.indexes().erasures_open.iter().next().copied();
        let epochs = open.and_then(|id| state.erasure(id)).map(|row| row.epochs.clone());
        let epochs: Vec<bytes::Bytes> =
            epochs.iter().flatten().map(|epoch| epoch.as_bytes().to_vec().into()).collect();
        let keys = state.tables().keys.iter().take(64);
        let keys = keys.map(|(id, _)| id.as_bytes().to_vec().into()).collect();
        match self.dice.below(8) {
            0 => {
                let client = bytes::Bytes::new();
                let erase = pb::EraseRecords { client, record, ground: 1 };
                self.act(by, Kind::EraseRecords(erase));
            }
            1 => {
                let alias = self.aliases.last().map(|(_, alias)| alias.clone());
                let client = alias.unwrap_or_default().into();
                let record = bytes::Bytes::new();
                let erase = pb::EraseRecords { client, record, ground: 3 };
                self.act("council", Kind::EraseRecords(erase));
            }
            2 => {
                let client = bytes::Bytes::new();
                let place = pb::PlaceHold { client, record, ground: 5 };
                self.act(by, Kind::PlaceHold(place));
            }
            3 => {
                let hold = self.one_of(&holds).into();
                self.act(by, Kind::LiftHold(pb::LiftHold { hold }));
            }
            4 | 5 => {
                let epoch = vec![100 + u8::try_from(self.dice.below(100)).unwrap(); 16].into();
                let kind = Kind::RewrapKeys(pb::RewrapKeys { epoch, keys });
                let _outcome = self.world.apply(By::Node, kind);
            }
            6 => {
                let erasure = open.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into();
                let kind = Kind::CompleteErasure(pb::CompleteErasure { erasure, epochs });
                let _outcome = self.world.apply(By::Node, kind);
            }
            _ => {
                let dispose = pb::DisposeOverdue {
                    publisher: "council".to_owned(),
                    record_type: LEAVER_FORM.to_owned(),
                    records: vec![record],
                };
                let _outcome = self.world.apply(By::Node, Kind::DisposeOverdue(dispose));
            }
        }
    }

    /// A retraction, a hand-over, an answer, or a dispute.
    fn recall(&mut self) {
        let records = self.records.clone();
        let record = self.one_of(&records).into();
        let name = self.pick(&["college", "charity"]).to_owned();
        let state = &self.world.state;
        let agency = state.agency_number(&name.parse().unwrap());
        let waiting = agency.map(|agency| state.recalls_waiting(agency).collect::<Vec<_>>());
        let waiting: Vec<_> =
            waiting.unwrap_or_default().iter().map(|id| id.as_bytes().to_vec()).collect();
        let by = AGENCIES[usize::try_from(self.dice.below(3)).unwrap()];
        match self.dice.below(6) {
            0 => self.act(by, Kind::RetractRecord(pb::RetractRecord { record, reason: 2 })),
            1 | 2 => {
                let recalls = vec![self.one_of(&waiting).into()];
                let kind = Kind::HandOverRecalls(pb::HandOverRecalls { agency: name, recalls });
                let _outcome = self.world.apply(By::Node, kind);
            }
            3 => {
                let recall = self.one_of(&waiting).into();
                let acknowledge = pb::AcknowledgeRecall { recall, act: 1, ground: 0 };
                self.act(by, Kind::AcknowledgeRecall(acknowledge));
            }
            4 => {
                let group = "core".to_owned();
                let open = pb::OpenDispute { record, group, field: String::new(), reason: 1 };
                self.act(by, Kind::OpenDispute(open));
            }
            _ => {
                let dispute = record;
                let answer = pb::AnswerDispute { dispute, answer: 2, keep_reason: 1 };
                self.act(by, Kind::AnswerDispute(answer));
            }
        }
    }

    /// A right exercised, a step, a decision, something held back, or a report.
    fn rights(&mut self) {
        let by = AGENCIES[usize::try_from(self.dice.below(3)).unwrap()];
        let cases = self.cases.clone();
        let case: bytes::Bytes = self.one_of(&cases).into();
        let code = |dice: &mut Dice, below| i32::try_from(1 + dice.below(below)).unwrap();
        match self.dice.below(8) {
            0..=2 => {
                let requester =
                    Some(pb::Requester { relation: 1, identity: 1, ..Default::default() });
                let open = pb::OpenCase {
                    kind: code(&mut self.dice, 3),
                    client: self.alias(by).into(),
                    requester,
                    ..pb::OpenCase::default()
                };
                self.act(by, Kind::OpenCase(open));
            }
            3 => {
                let step = code(&mut self.dice, 8);
                let extension_reason = i32::from(step == i32::from(pb::CaseStep::Extended));
                self.act(by, Kind::AdvanceCase(pb::AdvanceCase { case, step, extension_reason }));
            }
            4..=5 => {
                let measure = pb::Measure { kind: code(&mut self.dice, 3), ..Default::default() };
                let ground = i32::from(measure.kind == i32::from(pb::MeasureKind::Continue));
                let decide = pb::DecideCase {
                    case,
                    measures: vec![pb::Measure { ground, ..measure }],
                    outcome: i32::try_from(self.dice.below(3)).unwrap(),
                    person_told: true,
                };
                self.act(by, Kind::DecideCase(decide));
            }
            6 => {
                let records = self.records.clone();
                let record = self.one_of(&records).into();
                let groups = if self.dice.below(2) == 0 { self.groups() } else { Vec::new() };
                self.act(by, Kind::HoldBack(pb::HoldBack { case, record, groups, exemption: 2 }));
            }
            _ => {
                let after = bytes::Bytes::new();
                self.act(by, Kind::MakeReport(pb::MakeReport { case, after }));
            }
        }
    }

    fn wait(&mut self) {
        let millis = match self.dice.below(4) {
            0 => self.dice.below(40 * DAY_MS),
            _ => self.dice.below(DAY_MS),
        };
        self.world.wait(millis);
    }

    /// The node's own: time, sweeps, attestations, keys, what was not sent.
    fn own(&mut self) {
        let kind = match self.dice.below(6) {
            0 => Kind::Tick(pb::Tick {}),
            1..=3 => Kind::ContinueSweep(pb::ContinueSweep {}),
            4 => Kind::Attest(pb::Attest {
                position: self.dice.below(100),
                schema: SCHEMA,
                lines_struck: 0,
                outcome_digest: digest("outcomes"),
                state_digest: digest("rows"),
            }),
            _ => Kind::ReleaseNotSent(pb::ReleaseNotSent {
                agency: self.pick(&["college", "charity"]).to_owned(),
                subscription: SUBSCRIPTIONS[0].to_owned(),
                deliveries: vec![1 + self.dice.below(6)],
            }),
        };
        let _outcome = self.world.apply(By::Node, kind);
    }

    fn publish(&mut self) {
        let name = if self.dice.below(8) == 0 { self.pick(&AGENCIES) } else { "council" };
        let number = u8::try_from(self.dice.below(4)).unwrap();
        let id = client(number);
        let add =
            pb::AddClient { client: id.as_bytes().to_vec().into(), ..pb::AddClient::default() };
        let name = AGENCIES.into_iter().find(|known| *known == name).unwrap();
        self.act(name, Kind::AddClient(add));
        let alias = self.aliases.last().map_or_else(|| vec![0; 16], |(_, alias)| alias.clone());
        let state = &self.world.state;
        let agency = state.agency_number(&name.parse().unwrap());
        let class = i32::from(pb::DisposalClass::Record);
        let key = state.key_for(Some(id), agency, class).map(|key| key.as_bytes().to_vec());
        let key = key.unwrap_or_else(|| {
            self.keys += 1;
            let key = vec![self.keys; 16];
            let open = pb::OpenKey {
                key: key.clone().into(),
                client: id.as_bytes().to_vec().into(),
                agency: name.to_owned(),
                disposal_class: class,
                ..pb::OpenKey::default()
            };
            let _outcome = self.world.apply(By::Node, Kind::OpenKey(open));
            key
        });
        let records = self.records.clone();
        let replaces = self.dice.below(2) == 0 && !records.is_empty();
        let supersedes = if replaces { self.one_of(&records) } else { Vec::new() };
        let change = if replaces { i32::try_from(self.dice.below(3)).unwrap() } else { 0 };
        let publish = pb::PublishRecord {
            record_type: LEAVER_FORM.to_owned(),
            type_version: 1,
            code_lists: "2026-11-01".to_owned(),
            client: alias.into(),
            supersedes: supersedes.into(),
            groups: self.groups(),
            content_mac: digest("content"),
            key: key.into(),
            change,
        };
        self.act(name, Kind::PublishRecord(publish));
    }

    /// What the node would propose, sometimes spoilt or late.
    fn release(&mut self) {
        let name = self.pick(&["college", "charity"]);
        let subscription = self.pick(&SUBSCRIPTIONS);
        let state = &self.world.state;
        let found = state
            .agency_number(&name.parse().unwrap())
            .and_then(|agency| state.subscription_number(agency, &subscription.parse().unwrap()));
        let Some(number): Option<SubscriptionNumber> = found else { return };
        let (now, count) = (UnixMillis::new(self.world.now_ms()), 1 + self.dice.below(4));
        let count = usize::try_from(count).unwrap();
        let offers::Candidates { first_delivery, mut lines, stale } =
            offers::candidates(&self.world.state, number, now, count);
        lines.extend(stale);
        if lines.is_empty() {
            return;
        }
        if self.dice.below(6) == 0 {
            lines[0].grants.clear();
        }
        if self.dice.below(6) == 0 {
            self.consent();
        }
        let kind = Kind::ReleaseRecords(pb::ReleaseRecords {
            agency: name.to_owned(),
            subscription: subscription.to_owned(),
            first_delivery: first_delivery + u64::from(self.dice.below(12) == 0),
            lines,
        });
        let _outcome = self.world.apply(By::Node, kind);
    }

    fn consent(&mut self) {
        let by = if self.dice.below(3) == 0 { "college" } else { "council" };
        let consents = self.consents.clone();
        let kind = if self.dice.below(3) == 0 {
            let consent = self.one_of(&consents).into();
            Kind::WithdrawConsent(pb::WithdrawConsent {
                consent,
                recipients: Vec::new(),
                recall: self.dice.below(2) == 0,
                ..pb::WithdrawConsent::default()
            })
        } else {
            let scope = Some(pb::ConsentScope {
                client: self.alias(by).into(),
                publisher: "council".to_owned(),
                record_type: LEAVER_FORM.to_owned(),
                groups: self.groups().into_iter().filter(|group| group != "destination").collect(),
                recipients: owned(&["college"]),
                gate: i32::from(pb::Gate::DataProtectionConsent),
                ..pb::ConsentScope::default()
            });
            let now = self.world.now_ms();
            let act = Some(pb::ConsentAct {
                grantor: i32::from(pb::Grantor::Self_),
                authority: 0,
                age_years: u32::try_from(self.dice.below(20)).unwrap(),
                method: i32::from(pb::ConsentMethod::Form),
                given_at_ms: now - self.dice.below(1_000),
                notice_digest: digest("notice"),
                ..pb::ConsentAct::default()
            });
            if self.dice.below(4) == 0 {
                Kind::RefuseConsent(pb::RefuseConsent { scope, act })
            } else {
                let ends = self.dice.below(2) == 0;
                let expires_at_ms = if ends { now + self.dice.below(3 * DAY_MS) } else { 0 };
                Kind::RecordConsent(pb::RecordConsent {
                    scope,
                    act,
                    expires_at_ms,
                    ..pb::RecordConsent::default()
                })
            }
        };
        self.act(if by == "council" { "council" } else { "college" }, kind);
    }

    fn agreement(&mut self) {
        let agreement = self.pick(&["leavers", "leavers", "second"]).to_owned();
        let (version, content_hash) = (self.stands.0, self.stands.1.clone().into());
        let kind = match self.dice.below(9) {
            0 => {
                let flows = vec![statutory_flow("statutory", "council", &["charity"])];
                let content = Some(self.world.content(&["council", "charity"], flows));
                Kind::DraftAgreement(pb::DraftAgreement { agreement, content })
            }
            1 => Kind::ProposeAgreement(pb::ProposeAgreement { agreement, version, content_hash }),
            2..=4 => Kind::ApproveAgreement(example::approval(&agreement, version, content_hash)),
            5 => Kind::DeclineAgreement(pb::DeclineAgreement {
                agreement,
                version,
                reason: i32::from(pb::DeclineReason::TermsDisputed),
            }),
            6 => Kind::SuspendFlows(pb::SuspendFlows {
                agreement,
                reason: i32::from(pb::SuspendReason::Quality),
            }),
            7 => Kind::ResumeFlows(pb::ResumeFlows { agreement }),
            _ if self.dice.below(6) == 0 => Kind::EndAgreement(pb::EndAgreement { agreement }),
            _ => Kind::ResumeFlows(pb::ResumeFlows { agreement }),
        };
        let name = self.pick(&AGENCIES);
        let name = AGENCIES.into_iter().find(|known| *known == name).unwrap();
        self.act(name, kind);
    }

    fn case(&mut self) {
        let name = AGENCIES[usize::try_from(self.dice.below(3)).unwrap()];
        let client = self.alias(name).into();
        let agency = self.pick(&["college", "charity"]).to_owned();
        let kind = match self.dice.below(4) {
            0 | 1 => Kind::OpenCaseload(pb::OpenCaseload { client }),
            2 => Kind::ConfirmCaseload(pb::ConfirmCaseload { client, agency }),
            _ => Kind::EndCaseload(pb::EndCaseload { client, agency }),
        };
        self.act(name, kind);
    }

    fn delivery(&mut self) {
        let name = if self.dice.below(2) == 0 { "college" } else { "charity" };
        let subscription = self.pick(&SUBSCRIPTIONS).to_owned();
        let place = self.dice.below(8);
        let records = self.records.clone();
        let kind = match self.dice.below(8) {
            0 => self::subscription(&subscription),
            1 if self.dice.below(3) == 0 => {
                Kind::RemoveSubscription(pb::RemoveSubscription { subscription })
            }
            2 => {
                Kind::SeekSubscription(pb::SeekSubscription { subscription, after_delivery: place })
            }
            3 => Kind::OpenRecord(pb::OpenRecord {
                record: self.one_of(&records).into(),
                reason: i32::from(pb::ReadReason::Service),
                grants: Vec::new(),
                office: 0,
            }),
            4 => {
                let reason = i32::from(pb::NackReason::NotAccepted);
                let nacks = vec![pb::Nack { delivery: 1 + place, reason }];
                Kind::Acknowledge(pb::Acknowledge { subscription, through: place, nacks })
            }
            _ => Kind::Acknowledge(pb::Acknowledge { subscription, through: place, nacks: vec![] }),
        };
        self.act(name, kind);
    }

    fn policy(&mut self) {
        let policy = "mine".to_owned();
        let kind = if self.dice.below(2) == 0 {
            let text = POLICY_TEXTS[usize::try_from(self.dice.below(3)).unwrap()].clone();
            Kind::PutPolicy(pb::PutPolicy { policy, text, schema_version: 1 })
        } else {
            Kind::RemovePolicy(pb::RemovePolicy { policy })
        };
        let name = if self.dice.below(2) == 0 { "council" } else { "college" };
        self.act(name, kind);
    }

    fn operator(&mut self) {
        let agency = self.pick(&AGENCIES).to_owned();
        let kind = match self.dice.below(3) {
            0 => Kind::SuspendAgency(pb::SuspendAgency { agency }),
            _ => Kind::ResumeAgency(pb::ResumeAgency { agency }),
        };
        let _outcome = self.world.apply(By::Operator, kind);
    }

    /// The bytes of some entry once more, whole or cut short.
    fn again(&mut self) {
        let count = u64::try_from(self.world.entries().len()).unwrap();
        let place = usize::try_from(self.dice.below(count)).unwrap();
        let mut bytes = self.world.entries()[place].1.clone();
        if self.dice.below(3) == 0 {
            bytes.truncate(bytes.len() / 2);
        }
        let _outcome = self.world.append(bytes);
    }
}
