//! The two worlds: who is in them, what happens in both, and what happens in one behind alder's back.
//!
//! `alder-council` publishes to `skills` by duty, to `birch-college` by consent and to `cedar-trust` for confirmed
//! caseloads; `pine-council` publishes to alder by consent, and to skills and birch under an agreement that alder is no
//! party of. All names are invented.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use concordat::{
    machine::{Receipt, State, outcome::Remembered, read::offers},
    model::{
        digest::Digest,
        id::{AliasId, ConsentId, RecallId, RecordId},
    },
    node::{Asked, Who, statement},
    pb::{
        ledger::v1::{self as ledger, AgencyKind, Purpose, command::Kind},
        v1::{
            self as pb, recall_service_client::RecallServiceClient, subscribe_request,
            subscribe_response,
        },
    },
};
use prost::Message;
use prost_reflect::DynamicMessage;
use tonic::Status;

use super::{
    calls::{Call, Pool, scn},
    cases,
};
use crate::{
    harness::{
        Agency, Exchange, LEAVER_FORM, Setup, alias, by_consent, by_duty, context, draft, form,
    },
    ledger_samples::Dice,
    raw,
};

/// One of the two exchanges and everybody in it.
pub(super) struct World {
    pub(super) exchange: Exchange,
    pub(super) alder: Agency,
    skills: Agency,
    birch: Agency,
    cedar: Agency,
    pine: Agency,
    /// The same agencies, with request ids that only the hidden history uses.
    shadow_pine: Agency,
    shadow_birch: Agency,
    shadow_skills: Agency,
    records: Vec<(RecordId, String, u32)>,
    consents: Vec<ConsentId>,
    pages: BTreeMap<(String, Bytes), String>,
    hidden: usize,
    given: Vec<ConsentId>,
}

impl World {
    pub(super) async fn new(certificates: &Path, setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let exchange = Exchange::start_in(directory, certificates, setup).await;
        let alder = exchange.agency("alder-council", AgencyKind::Council).await;
        let skills = exchange.agency("skills", AgencyKind::NationalBody).await;
        let birch = exchange.agency("birch-college", AgencyKind::College).await;
        let cedar = exchange.agency("cedar-trust", AgencyKind::Voluntary).await;
        let pine = exchange.agency("pine-council", AgencyKind::Council).await;
        let served = ledger::Flow {
            caseload: i32::from(ledger::CaseloadRule::Confirmed),
            ..by_consent("served", &alder, &[&cedar])
        };
        let flows = vec![
            by_duty("duty", &alder, &[&skills]),
            by_consent("consented", &alder, &[&birch]),
            served,
            ledger::Flow {
                basis: i32::from(ledger::LawfulBasis::VitalInterests),
                gate: i32::from(ledger::Gate::None),
                emergency: Some(ledger::EmergencyTerms { categories: vec![2], offices: vec![1] }),
                ..by_consent("emergencies", &cedar, &[&alder])
            },
        ];
        exchange.agree("leavers", &[&alder, &skills, &birch, &cedar], flows).await;
        let flows = vec![by_consent("inbound", &pine, &[&alder])];
        exchange.agree("inbound", &[&pine, &alder], flows).await;
        let flows = vec![
            by_duty("elsewhere", &pine, &[&skills]),
            by_consent("elsewhere-asked", &pine, &[&birch]),
        ];
        exchange.agree("elsewhere", &[&pine, &skills, &birch], flows).await;
        let until_ms = crate::harness::NOW.plus(300 * crate::harness::DAY_MS).millis();
        let authorise = ledger::AuthoriseEmergency { offices: vec![1], until_ms };
        alder.submit(Kind::AuthoriseEmergency(authorise)).await.unwrap();
        for agency in [&alder, &skills, &birch] {
            agency.subscribe_to("leavers").await;
        }
        let mut shadows = Vec::new();
        for (id, kind) in [
            ("pine-council", AgencyKind::Council),
            ("birch-college", AgencyKind::College),
            ("skills", AgencyKind::NationalBody),
        ] {
            let mut shadow = exchange.known(id, kind).await;
            shadow.requests = shadow.requests.fork("behind alder's back");
            shadows.push(shadow);
        }
        let [shadow_pine, shadow_birch, shadow_skills] =
            <[Agency; 3]>::try_from(shadows).unwrap_or_else(|_| unreachable!("three were made"));
        Self {
            exchange,
            alder,
            skills,
            birch,
            cedar,
            pine,
            shadow_pine,
            shadow_birch,
            shadow_skills,
            records: Vec::new(),
            consents: Vec::new(),
            pages: BTreeMap::new(),
            hidden: 0,
            given: Vec::new(),
        }
    }

    /// The candidate numbers that alder's clients have, and some of others.
    pub(super) fn scns() -> Vec<String> {
        (0..24).map(scn).collect()
    }

    /// Alder's signature for a command.
    pub(super) fn signature(&self, request: &str, kind: &Kind) -> Option<ledger::Signature> {
        let id = uuid::Uuid::parse_str(request).ok()?.into_bytes();
        let id = concordat::model::id::RequestId::from_bytes(id);
        let ledger = self.exchange.node.read(State::ledger);
        let statement = statement(ledger, &self.alder.id, id, kind).ok()?;
        Some(ledger::Signature {
            key_fingerprint: self.alder.signing.fingerprint().as_bytes().to_vec().into(),
            value: self.alder.signing.sign(&statement).ok()?.to_vec().into(),
        })
    }

    /// Makes alder's call, on the page that this world's last answer named.
    pub(super) async fn call(&mut self, call: &Call) -> Result<Vec<Bytes>, Status> {
        let key = (call.path.clone(), call.messages.first().cloned().unwrap_or_default());
        let mut messages = call.messages.clone();
        if let Some(token) = self.pages.remove(&key) {
            let mut paged = DynamicMessage::decode(call.method.input(), key.1.clone()).unwrap();
            paged.set_field_by_name("page_token", prost_reflect::Value::String(token));
            messages = vec![paged.encode_to_vec().into()];
        }
        if call.path.contains("Disposal") {
            // How far an erasure has come is a matter of time.
            self.exchange.at_rest().await;
        }
        let answers = raw::call(&self.alder.channel, &call.path, messages).await?;
        if let Some(answer) = answers.first() {
            let answer = DynamicMessage::decode(call.method.output(), answer.clone()).unwrap();
            let token = answer.get_field_by_name("next_page_token");
            let token = token.and_then(|token| token.as_str().map(ToOwned::to_owned));
            if let Some(token) = token.filter(|token| !token.is_empty()) {
                self.pages.insert(key, token);
            }
        }
        self.exchange.at_rest().await;
        Ok(answers)
    }

    /// Alder's recalls, answered, so that what follows does not depend on when each is put before it.
    async fn recalls(&self) -> Vec<pb::SubscribeResponse> {
        let mut recalls = RecallServiceClient::new(self.alder.channel.clone());
        let request = pb::ListRecallsRequest {
            context: context(),
            acknowledged_too: false,
            page_size: 100,
            page_token: String::new(),
        };
        let listed = recalls.list_recalls(request).await.unwrap().into_inner().recalls;
        for recall in &listed {
            let id: RecallId = recall.name.strip_prefix("recalls/").unwrap().parse().unwrap();
            let request = pb::AcknowledgeRecallRequest {
                context: context(),
                request_id: self.alder.request(),
                acknowledge: Some(ledger::AcknowledgeRecall {
                    recall: id.as_bytes().to_vec().into(),
                    act: i32::from(ledger::RecallAct::Deleted),
                    ground: 0,
                }),
                validate_only: false,
            };
            recalls.acknowledge_recall(request).await.unwrap();
        }
        let heard =
            |recall| pb::SubscribeResponse { kind: Some(subscribe_response::Kind::Recall(recall)) };
        listed.into_iter().map(heard).collect()
    }

    /// Reads what alder may have now on a stream, leaves, and acknowledges it.
    ///
    /// The window holds just what is read: with room left, how much more is released before alder has left would be a
    /// matter of time, not of the seed.
    pub(super) async fn stream(&mut self, pool: &mut Pool) -> Vec<pb::SubscribeResponse> {
        self.exchange.at_rest().await;
        let mut all = self.recalls().await;
        let expected = self.waiting().min(8);
        let start = pb::SubscribeRequest {
            context: context(),
            kind: Some(subscribe_request::Kind::Start(pb::SubscribeStart {
                request_id: self.alder.request(),
                subscription: self.alder.subscription("leavers"),
                resume_cursor: String::new(),
                window: u32::try_from(expected.max(1)).unwrap(),
            })),
        };
        let (send, receive) = tokio::sync::mpsc::channel(4);
        send.send(start).await.unwrap();
        let requests = tokio_stream::wrappers::ReceiverStream::new(receive);
        let mut stream = self.alder.exchange().subscribe(requests).await.unwrap().into_inner();
        all.push(stream.message().await.unwrap().unwrap());
        let mut cursor = String::new();
        for _ in 0..expected {
            let response = stream.message().await.unwrap().unwrap();
            if let Some(subscribe_response::Kind::Delivery(delivery)) = &response.kind {
                cursor.clone_from(&delivery.cursor);
            }
            all.push(response);
        }
        // Saying no more ends the stream.
        drop(send);
        while let Ok(Some(response)) = stream.message().await {
            all.push(response);
        }
        if !cursor.is_empty() {
            pool.cursors.push(cursor.clone());
            let request = pb::AcknowledgeRecordsRequest {
                context: context(),
                request_id: self.alder.request(),
                subscription: self.alder.subscription("leavers"),
                through_cursor: cursor,
                nacks: Vec::new(),
            };
            self.alder.exchange().acknowledge_records(request).await.unwrap();
        }
        all
    }

    /// How many records alder's subscription would give now.
    fn waiting(&self) -> usize {
        self.exchange.node.read(|state| {
            let alder = state.agency_number(&self.alder.id).unwrap();
            let id = "leavers".parse().unwrap();
            let number = state.subscription_number(alder, &id).unwrap();
            let outstanding = state.subscription(number).unwrap().outstanding();
            let more = offers::candidates(state, number, crate::harness::NOW, 64).lines.len();
            usize::try_from(outstanding).unwrap() + more
        })
    }

    /// Something that alder may see, or that concerns nobody.
    pub(super) async fn common(&mut self, step: u64, pool: &mut Pool) {
        let mut dice = Dice(step);
        match dice.below(4) {
            0 | 1 => {
                let client = dice.below(12);
                let number = u32::try_from(9_000 + client).unwrap();
                let published = publish(&self.pine, number, &scn(client), "").await;
                let Ok(receipt) = published else { return };
                pool.foreign.push(receipt.record.clone());
                // Nobody asks for it while alder has suspended its flows.
                let (client, recipients) = (alias(&receipt.client), [&self.alder]);
                let consent = self.pine.record_consent(client, &["core"], &recipients).await;
                self.given.extend(consent);
            }
            2 => {
                if let Some(consent) = self.given.pop() {
                    withdraw(&self.pine, consent).await;
                }
            }
            _ => {
                let client = add_client(&self.cedar, &scn(dice.below(12))).await;
                let open = ledger::OpenCaseload { client: client.as_bytes().to_vec().into() };
                drop(self.cedar.submit(Kind::OpenCaseload(open)).await);
            }
        }
        // Alder rightly sees when what it published was delivered, so it is delivered in both.
        let pulled = pull(&self.shadow_skills).await;
        pool.cursors.extend(pulled);
        self.exchange.at_rest().await;
    }

    /// Something that alder may not see.
    pub(super) async fn hidden(&mut self, step: u64, pool: &mut Pool) {
        let mut dice = Dice(step);
        self.hidden += 1;
        let number = u32::try_from(self.hidden).unwrap();
        let (pine, birch) = (&self.shadow_pine, &self.shadow_birch);
        match dice.below(10) {
            8 => {
                // Somebody else answers for the very people about whom alder asks.
                if let Some((id, client, _)) = self.records.last() {
                    for kind in [ledger::CaseKind::Objection, ledger::CaseKind::Access] {
                        let open = cases::about(kind, alias(client).as_bytes());
                        let case = pine.submit(Kind::OpenCase(open)).await;
                        pool.foreign.extend(cases::name_of(&case));
                        cases::report(pine, &case, id.as_bytes()).await;
                    }
                }
            }
            0..=2 => {
                // Pine takes two of these for one client now and then, and alder does not.
                let number = number % 40;
                let receipt = publish(pine, number, &scn(12 + dice.below(12)), "").await.unwrap();
                pool.foreign.extend([receipt.record.clone(), receipt.client.clone()]);
                let id = receipt.record.strip_prefix("records/").unwrap().parse().unwrap();
                self.records.push((id, receipt.client, number));
            }
            3 => {
                if let Some((id, _, number)) = self.records.pop() {
                    let before = format!("records/{id}");
                    drop(publish(pine, number, "", &before).await);
                }
            }
            4 => {
                if let Some((_, client, _)) = self.records.last() {
                    let consent =
                        pine.record_consent(alias(client), &["core"], &[&self.birch]).await;
                    if let Ok(consent) = consent {
                        pool.foreign.push(format!("consents/{consent}"));
                        self.consents.push(consent);
                    }
                }
            }
            5 => {
                if let Some((_, client, _)) = self.records.last() {
                    let refuse = refusal(pine, alias(client), &self.alder);
                    drop(pine.submit(Kind::RefuseConsent(refuse)).await);
                }
            }
            6 => {
                let who = if dice.below(2) == 0 { birch } else { &self.shadow_skills };
                let client = add_client(who, &scn(dice.below(24))).await;
                pool.foreign.push(format!("clients/{client}"));
                let open = ledger::OpenCaseload { client: client.as_bytes().to_vec().into() };
                drop(who.submit(Kind::OpenCaseload(open)).await);
            }
            7 => {
                let text =
                    r#"forbid(principal, action, resource) when { resource.group == "support" };"#;
                let put = ledger::PutPolicy {
                    policy: format!("hidden-{}", dice.below(20)),
                    text: text.to_owned(),
                    schema_version: 1,
                };
                drop(pine.submit(Kind::PutPolicy(put)).await);
            }
            _ => {
                if let Some(consent) = self.consents.pop() {
                    withdraw(pine, consent).await;
                }
            }
        }
        self.exchange.at_rest().await;
    }

    /// Holds that the worlds do differ.
    pub(super) fn holds_more_than(&self, bare: &Self) {
        let count = |world: &Self| {
            world.exchange.node.read(|state| {
                let tables = state.tables();
                (tables.records.len(), tables.consents.len(), tables.policies.len())
            })
        };
        let (more, less) = (count(self), count(bare));
        assert!(less.0 < more.0 && less.1 < more.1 && less.2 < more.2, "{less:?} {more:?}");
        assert!(self.skills.id == bare.skills.id && bare.hidden == 0);
    }
}

async fn publish(
    agency: &Agency,
    number: u32,
    scn: &str,
    supersedes: &str,
) -> Result<pb::PublishReceipt, Status> {
    let mut form = form(number);
    scn.clone_into(&mut form.identity.as_mut().unwrap().scn);
    let record = pb::RecordDraft { supersedes: supersedes.to_owned(), ..draft(&form) };
    let request = pb::PublishRecordRequest {
        context: context(),
        request_id: agency.request(),
        record: Some(record),
        validate_only: false,
    };
    let answer = agency.exchange().publish_record(request).await?;
    Ok(answer.into_inner().receipt.unwrap())
}

/// Withdraws a consent, unless its recipient did so before.
async fn withdraw(agency: &Agency, consent: ConsentId) {
    let consent = consent.as_bytes().to_vec().into();
    let withdraw = ledger::WithdrawConsent {
        consent,
        recipients: Vec::new(),
        recall: true,
        ..ledger::WithdrawConsent::default()
    };
    drop(agency.submit(Kind::WithdrawConsent(withdraw)).await);
}

async fn add_client(agency: &Agency, scn: &str) -> AliasId {
    let asked = Asked {
        actor: Who::Agency(agency.id.clone()),
        purpose: Purpose::Administration,
        staff: None,
        request_id: agency.request_id(),
        signature: None,
    };
    let identifiers =
        ledger::Identifiers { local_id: String::new(), scn: scn.to_owned(), person: None };
    let added = agency.node.add_client(&asked, &identifiers).await.unwrap();
    let Ok(Receipt::Answer(Remembered::Client(alias))) = added else {
        unreachable!("not a client: {added:?}");
    };
    alias
}

fn refusal(agency: &Agency, client: AliasId, recipient: &Agency) -> ledger::RefuseConsent {
    ledger::RefuseConsent {
        scope: Some(ledger::ConsentScope {
            client: client.as_bytes().to_vec().into(),
            publisher: agency.id.to_string(),
            record_type: LEAVER_FORM.to_owned(),
            groups: vec!["core".to_owned()],
            recipients: vec![recipient.id.to_string()],
            gate: i32::from(ledger::Gate::DataProtectionConsent),
            ..ledger::ConsentScope::default()
        }),
        act: Some(act()),
    }
}

/// What was said by a person of 16, on a form.
pub(super) fn act() -> ledger::ConsentAct {
    ledger::ConsentAct {
        grantor: i32::from(ledger::Grantor::Self_),
        authority: i32::from(ledger::Authority::Unspecified),
        age_years: 16,
        method: i32::from(ledger::ConsentMethod::Form),
        given_at_ms: crate::harness::NOW.millis(),
        notice_digest: Digest::of_concatenation(&[b"the notice"]).as_bytes().to_vec().into(),
        ..ledger::ConsentAct::default()
    }
}

/// Pulls and acknowledges; the cursors.
async fn pull(agency: &Agency) -> Vec<String> {
    let subscription = agency.subscription("leavers");
    let request = pb::PullRecordsRequest {
        context: context(),
        request_id: agency.request(),
        subscription: subscription.clone(),
        max_records: 8,
    };
    let answer = agency.exchange().pull_records(request).await.unwrap().into_inner();
    let cursors: Vec<_> = answer.deliveries.into_iter().map(|delivery| delivery.cursor).collect();
    if let Some(through) = cursors.last() {
        let request = pb::AcknowledgeRecordsRequest {
            context: context(),
            request_id: agency.request(),
            subscription,
            through_cursor: through.clone(),
            nacks: Vec::new(),
        };
        agency.exchange().acknowledge_records(request).await.unwrap();
    }
    cursors
}
