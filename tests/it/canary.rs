//! Canaries: values that stand nowhere else are given to every service that takes personal data, and then looked for in
//! every file of the exchange, in its log at the finest level and in every error, in each form in which they might have got
//! there. None may be found: what is personal lies in sealed bytes alone (decision 9, G10).

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "places come from the same bytes"
)]

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use concordat::{
    cli::compose::Running,
    pb::{
        ledger::v1::{self as ledger, ActorDetail, AgencyKind, Purpose, command::Kind},
        record::v1::LeaverForm,
        v1::{
            self as pb, RequestContext, case_service_client::CaseServiceClient,
            caseload_service_client::CaseloadServiceClient,
            consent_service_client::ConsentServiceClient,
            emergency_service_client::EmergencyServiceClient,
            ledger_service_client::LedgerServiceClient, policy_service_client::PolicyServiceClient,
            request_context::Actor,
        },
    },
};
use prost::Message;
use tonic::Status;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    harness::{Agency, LEAVER_FORM, agree, alias, by_consent, by_duty, draft},
    place::Place,
};

const FORENAME: &str = "Zebulonia";
const SURNAME: &str = "Quixworthy";
const KNOWN_AS: &str = "Zebbiequix";
const LOCAL_ID: &str = "LOCAL-77341-QX";
const OTHER_LOCAL_ID: &str = "CHARITY-88213-QX";
const SCN: &str = "059900064";
const STREET: &str = "47 Canary Wynd";
const PHONE: &str = "01632960777";
const EMAIL: &str = "zebulonia.quix@example.org";
const BORN: &str = "2011-06-17";
const STAFF: &str = "staff-quixotic-4417";
const ROLE: &str = "canary keeper";
const EVIDENCE: &str = "cabinet-9/folder-quix-3";
/// What stands in requests that are refused.
const BAD_EMAIL: &str = "zebulonia.at.nowhere.quix";
const BAD_SCN: &str = "059900068";
const BAD_BORN: &str = "2011-06-77";

const CANARIES: [&str; 16] = [
    FORENAME,
    SURNAME,
    KNOWN_AS,
    LOCAL_ID,
    OTHER_LOCAL_ID,
    SCN,
    STREET,
    PHONE,
    EMAIL,
    BORN,
    STAFF,
    ROLE,
    EVIDENCE,
    BAD_EMAIL,
    BAD_SCN,
    BAD_BORN,
];

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap()
}

/// The forms in which a value is looked for.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let hex = hexadecimal(value.as_bytes());
    let percent = |keep: fn(u8) -> bool| -> String {
        let one = |byte: u8| {
            if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        value.bytes().map(one).collect()
    };
    let reserved = percent(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let every = percent(|_| false);
    let texts = [value, &hex, &reserved, &every];
    let mut forms: Vec<Vec<u8>> = texts
        .iter()
        .flat_map(|text| [(*text).to_owned(), text.to_lowercase(), text.to_uppercase()])
        .map(String::into_bytes)
        .collect();
    // However many bytes stand before it: the characters that depend on the value alone.
    for before in 0..3 {
        let padded = [&vec![0; before], value.as_bytes()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        let inside = encoded[first..last].to_owned();
        forms.push(inside.replace('+', "-").replace('/', "_").into_bytes());
        forms.push(inside.into_bytes());
    }
    forms.sort();
    forms.dedup();
    forms
}

/// Where which canaries are in `bytes`.
fn hits(place: &str, bytes: &[u8]) -> Vec<String> {
    let forms: Vec<_> = CANARIES
        .iter()
        .flat_map(|canary| forms(canary).into_iter().map(move |form| (canary, form)))
        .collect();
    let mut by_first: Vec<Vec<&(&&str, Vec<u8>)>> = vec![Vec::new(); 256];
    for form in &forms {
        by_first[usize::from(form.1[0])].push(form);
    }
    let mut found = Vec::new();
    for at in 0..bytes.len() {
        for (canary, form) in by_first[usize::from(bytes[at])].iter().copied() {
            if bytes[at..].starts_with(form) {
                found.push(format!(
                    "{canary} in {place} at {at}: {}",
                    String::from_utf8_lossy(form)
                ));
            }
        }
    }
    found
}

/// Every file below a directory, without the zeros that are kept free at its end.
fn files(directory: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(end);
            all.push((path.display().to_string(), bytes));
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn context() -> Option<RequestContext> {
    let staff = ActorDetail { staff_id: STAFF.to_owned(), role: ROLE.to_owned(), office: 0 };
    Some(RequestContext {
        purpose: i32::from(Purpose::SchoolLeaverTransition),
        actor: Some(Actor::Staff(staff)),
        held_checkpoint: String::new(),
    })
}

fn form(place: &Place) -> LeaverForm {
    let mut form = place.form(0);
    let identity = form.identity.get_or_insert_default();
    FORENAME.clone_into(&mut identity.forename);
    SURNAME.clone_into(&mut identity.surname);
    KNOWN_AS.clone_into(&mut identity.known_as);
    LOCAL_ID.clone_into(&mut identity.source_local_id);
    SCN.clone_into(&mut identity.scn);
    BORN.clone_into(&mut identity.date_of_birth);
    let contact = form.contact.get_or_insert_default();
    contact.address_lines = vec![STREET.to_owned(), "Greenock".to_owned()];
    PHONE.clone_into(&mut contact.phone);
    EMAIL.clone_into(&mut contact.email);
    form
}

/// Who takes part, and what was refused.
struct Cast {
    council: Agency,
    skills: Agency,
    college: Agency,
    charity: Agency,
    errors: Vec<Status>,
}

impl Cast {
    async fn new(place: &Place, running: &Running) -> Self {
        let council = place.agency(running, "council", AgencyKind::Council).await;
        let skills = place.agency(running, "skills", AgencyKind::NationalBody).await;
        let college = place.agency(running, "college", AgencyKind::College).await;
        let charity = place.agency(running, "charity", AgencyKind::Voluntary).await;
        for agency in [&council, &skills, &college, &charity] {
            agency.join().await;
        }
        let served = ledger::Flow {
            caseload: i32::from(ledger::CaseloadRule::Confirmed),
            ..by_consent("served", &council, &[&charity])
        };
        let flows = vec![
            by_duty("duty", &council, &[&skills]),
            by_consent("asked", &council, &[&college]),
            served,
            ledger::Flow {
                basis: i32::from(ledger::LawfulBasis::VitalInterests),
                gate: i32::from(ledger::Gate::None),
                emergency: Some(ledger::EmergencyTerms { categories: vec![1], offices: vec![5] }),
                ..by_consent("emergencies", &council, &[&college])
            },
        ];
        let parties = [&council, &skills, &college, &charity];
        agree(place.clock.now(), "leavers", &parties, flows).await;
        let until_ms = place.clock.now().plus(86_400_000).millis();
        let authorise = ledger::AuthoriseEmergency { offices: vec![5], until_ms };
        college.submit(Kind::AuthoriseEmergency(authorise)).await.unwrap();
        for agency in [&skills, &college] {
            agency.subscribe_to("leavers").await;
        }
        Self { council, skills, college, charity, errors: Vec::new() }
    }

    async fn publish(&mut self, form: &LeaverForm) -> Option<pb::PublishReceipt> {
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: self.council.request(),
            record: Some(draft(form)),
            validate_only: false,
        };
        match self.council.exchange().publish_record(request).await {
            Ok(answer) => answer.into_inner().receipt,
            Err(status) => {
                self.errors.push(status);
                None
            }
        }
    }

    /// Publishes what is refused.
    async fn publish_badly(&mut self, place: &Place) {
        let mut bad = form(place);
        BAD_EMAIL.clone_into(&mut bad.contact.get_or_insert_default().email);
        BAD_SCN.clone_into(&mut bad.identity.get_or_insert_default().scn);
        assert!(self.publish(&bad).await.is_none());
        let mut bad = form(place);
        BAD_BORN.clone_into(&mut bad.identity.get_or_insert_default().date_of_birth);
        assert!(self.publish(&bad).await.is_none());
        let mut torn = form(place).encode_to_vec();
        torn.truncate(torn.len() - 3);
        let record = pb::RecordDraft { body: torn.into(), ..draft(&form(place)) };
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: self.council.request(),
            record: Some(record),
            validate_only: false,
        };
        self.errors.push(self.council.exchange().publish_record(request).await.unwrap_err());
    }

    /// Consents with evidence: given, refused, withdrawn.
    async fn consent(&mut self, place: &Place, client: &str) {
        let evidence = || {
            Some(ledger::Evidence { reference: EVIDENCE.to_owned(), ..ledger::Evidence::default() })
        };
        let scope = Some(ledger::ConsentScope {
            client: alias(client).as_bytes().to_vec().into(),
            publisher: "council".to_owned(),
            record_type: LEAVER_FORM.to_owned(),
            groups: vec!["core".to_owned(), "identity".to_owned()],
            recipients: vec!["college".to_owned()],
            gate: i32::from(ledger::Gate::DataProtectionConsent),
            ..ledger::ConsentScope::default()
        });
        let act = Some(ledger::ConsentAct {
            grantor: i32::from(ledger::Grantor::Self_),
            authority: i32::from(ledger::Authority::Unspecified),
            age_years: 15,
            method: i32::from(ledger::ConsentMethod::Form),
            given_at_ms: place.clock.now().millis(),
            notice_digest: vec![1; 32].into(),
            ..ledger::ConsentAct::default()
        });
        let mut service = ConsentServiceClient::new(self.council.channel.clone());
        let record = ledger::RecordConsent {
            scope: scope.clone(),
            act: act.clone(),
            expires_at_ms: 0,
            ..ledger::RecordConsent::default()
        };
        let id = self.council.request_id();
        let signature = self.council.signature(id, &Kind::RecordConsent(record.clone()));
        let request = pb::RecordConsentRequest {
            context: context(),
            request_id: uuid::Uuid::from_bytes(*id.as_bytes()).to_string(),
            record: Some(record),
            signature: Some(signature),
            evidence: evidence(),
            validate_only: false,
        };
        let given = service.record_consent(request.clone()).await.unwrap().into_inner();
        let unsigned = pb::RecordConsentRequest {
            request_id: self.council.request(),
            signature: None,
            ..request
        };
        self.errors.push(service.record_consent(unsigned).await.unwrap_err());
        let request = pb::RefuseConsentRequest {
            context: context(),
            request_id: self.council.request(),
            refuse: Some(ledger::RefuseConsent { scope, act }),
            evidence: evidence(),
            validate_only: false,
        };
        service.refuse_consent(request).await.unwrap();
        let name = given.consent.unwrap().name;
        let consent = u128::from_str_radix(name.rsplit('/').next().unwrap(), 16).unwrap();
        let request = pb::WithdrawConsentRequest {
            context: context(),
            request_id: self.council.request(),
            withdraw: Some(ledger::WithdrawConsent {
                consent: consent.to_be_bytes().to_vec().into(),
                recipients: Vec::new(),
                recall: true,
                ..ledger::WithdrawConsent::default()
            }),
            evidence: evidence(),
            validate_only: false,
        };
        drop(service.withdraw_consent(request).await);
    }

    /// A right exercised, with words beside it, and a report whose body is opened.
    async fn rights(&mut self, receipt: &pb::PublishReceipt) {
        let evidence = Some(ledger::Evidence { reference: EVIDENCE.to_owned(), consent: None });
        let mut service = CaseServiceClient::new(self.council.channel.clone());
        let open = ledger::OpenCase {
            kind: i32::from(ledger::CaseKind::Access),
            client: alias(&receipt.client).as_bytes().to_vec().into(),
            requester: Some(ledger::Requester {
                relation: i32::from(ledger::Relation::Self_),
                identity: i32::from(ledger::IdentityCheck::Confirmed),
                ..ledger::Requester::default()
            }),
            ..ledger::OpenCase::default()
        };
        let request = pb::OpenCaseRequest {
            context: context(),
            request_id: self.council.request(),
            open: Some(open),
            evidence,
            validate_only: false,
        };
        let opened = service.open_case(request).await.unwrap().into_inner();
        let request = pb::MakeReportRequest {
            context: context(),
            request_id: self.council.request(),
            case: opened.case.unwrap().name,
            page_token: String::new(),
        };
        let report = service.make_report(request).await.unwrap().into_inner();
        let body = &report.records[0].body;
        assert!(body.windows(FORENAME.len()).any(|window| window == FORENAME.as_bytes()));
    }

    /// A caseload, claimed by an identifier and confirmed.
    async fn caseload(&mut self, client: &str) {
        let mut service = CaseloadServiceClient::new(self.charity.channel.clone());
        let identifiers = ledger::Identifiers {
            local_id: OTHER_LOCAL_ID.to_owned(),
            scn: SCN.to_owned(),
            person: None,
        };
        let request = pb::AddClientRequest {
            context: context(),
            request_id: self.charity.request(),
            identifiers: Some(identifiers),
            validate_only: false,
        };
        let added = service.add_client(request.clone()).await.unwrap().into_inner();
        let bad =
            ledger::Identifiers { local_id: String::new(), scn: BAD_SCN.to_owned(), person: None };
        let bad = pb::AddClientRequest { identifiers: Some(bad), ..request };
        self.errors.push(service.add_client(bad).await.unwrap_err());
        let open = ledger::OpenCaseload { client: alias(&added.client).as_bytes().to_vec().into() };
        let request = pb::OpenCaseloadRequest {
            context: context(),
            request_id: self.charity.request(),
            open: Some(open),
            validate_only: false,
        };
        service.open_caseload(request).await.unwrap();
        let confirm = ledger::ConfirmCaseload {
            client: alias(client).as_bytes().to_vec().into(),
            agency: "charity".to_owned(),
        };
        self.council.submit(Kind::ConfirmCaseload(confirm)).await.unwrap();
    }

    /// Reads what there is to read; the bodies hold the canaries, so that it is known that they were there.
    async fn read(&self, receipt: &pb::PublishReceipt) {
        let request = pb::GetRecordRequest {
            context: context(),
            request_id: self.council.request(),
            name: receipt.record.clone(),
            reason: 1,
        };
        let opened = self.council.exchange().get_record(request).await.unwrap().into_inner();
        let body = opened.record.unwrap().body;
        for canary in [FORENAME, EMAIL, LOCAL_ID] {
            assert!(body.windows(canary.len()).any(|window| window == canary.as_bytes()));
        }
        for agency in [&self.skills, &self.college] {
            let request = pb::PullRecordsRequest {
                context: context(),
                request_id: agency.request(),
                subscription: agency.subscription("leavers"),
                max_records: 0,
            };
            agency.exchange().pull_records(request).await.unwrap();
        }
        self.in_emergency().await;
        let request = pb::ExplainDecisionRequest {
            context: context(),
            reason: 1,
            subject: Some(pb::explain_decision_request::Subject::Record(receipt.record.clone())),
            recipient: "agencies/college".to_owned(),
            recipient_purpose: i32::from(Purpose::SchoolLeaverTransition),
            ..pb::ExplainDecisionRequest::default()
        };
        let mut policies = PolicyServiceClient::new(self.council.channel.clone());
        policies.explain_decision(request).await.unwrap();
    }
}

impl Cast {
    /// Looks the leaver up by everything that is personal, reads, and looks for somebody whom nobody knows.
    async fn in_emergency(&self) {
        let mut stub = EmergencyServiceClient::new(self.college.channel.clone());
        for (surname, found) in [(SURNAME, 1), ("Nobody", 0)] {
            let person = ledger::Person {
                forename: FORENAME.to_owned(),
                surname: surname.to_owned(),
                date_of_birth: BORN.to_owned(),
                postcode: "PA15 1LY".to_owned(),
            };
            let request = pb::OpenEmergencyAccessRequest {
                context: context(),
                request_id: self.college.request(),
                category: 1,
                reason: 2,
                office: 5,
                subject: Some(pb::open_emergency_access_request::Subject::Person(person)),
                words: EVIDENCE.to_owned(),
            };
            let opened = stub.open_emergency_access(request).await.unwrap().into_inner();
            let request = pb::ReadEmergencyRecordsRequest {
                context: context(),
                request_id: self.college.request(),
                emergency: opened.emergency.unwrap().name,
                page_token: String::new(),
            };
            let read = stub.read_emergency_records(request).await.unwrap().into_inner();
            assert_eq!(read.records.len(), found);
        }
    }
}

/// What the operator is shown of it all.
async fn operators_list(place: &Place, running: &Running) -> Vec<u8> {
    let channel = place.channel("operator", &running.endpoint()).await;
    let context = crate::harness::context();
    let request = pb::ListEntriesRequest { context, page_size: 100, ..Default::default() };
    let answer = LedgerServiceClient::new(channel).list_entries(request).await.unwrap();
    answer.into_inner().encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_found_outside_sealed_bytes() {
    let log = Log::default();
    let logging = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("concordat=trace"))
        .with_writer(log.clone())
        .with_ansi(false);
    logging.try_init().unwrap();
    let place = Place::found().await;
    let running = place.run().await;
    let mut cast = Cast::new(&place, &running).await;
    let receipt = cast.publish(&form(&place)).await.unwrap();
    cast.publish_badly(&place).await;
    cast.caseload(&receipt.client).await;
    cast.consent(&place, &receipt.client).await;
    cast.rights(&receipt).await;
    cast.read(&receipt).await;
    // Somebody is turned away, so that the log is known to be heard.
    let denied = CaseloadServiceClient::new(place.channel("operator", &running.endpoint()).await);
    let denied = denied.clone().list_claims(pb::ListClaimsRequest::default()).await.unwrap_err();
    cast.errors.push(denied);

    let mut found = hits("the operator's list", &operators_list(&place, &running).await);
    assert!(6 <= cast.errors.len());
    for status in &cast.errors {
        let text = format!("{status:?} {}", status.message());
        found.extend(hits("an error", text.as_bytes()));
        found.extend(hits("an error's details", status.details()));
    }
    drop(cast);
    running.stop().await;
    let mut all = Vec::new();
    files(&place.data(), &mut all);
    let named =
        |part: &str| all.iter().any(|(name, bytes)| name.contains(part) && !bytes.is_empty());
    assert!(named("/ledger/") && named("/store/") && named("/keyring"), "what is scanned is there");
    for (name, bytes) in &all {
        found.extend(hits(name, bytes));
    }
    let logged = log.0.lock().unwrap().clone();
    assert!(String::from_utf8_lossy(&logged).contains("turned away"), "the log is heard");
    found.extend(hits("the log", &logged));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_canary_is_found_in_every_form() {
    for canary in CANARIES {
        let mut inside = b"some bytes before ".to_vec();
        inside.extend(canary.as_bytes());
        let encoded = STANDARD_NO_PAD.encode(&inside);
        let hex = hexadecimal(&inside).to_uppercase();
        for hidden in [inside.as_slice(), encoded.as_bytes(), hex.as_bytes()] {
            assert!(!hits("here", hidden).is_empty(), "{canary}");
        }
    }
    assert_eq!(hits("here", b"nothing of the kind"), Vec::<String>::new());
}
