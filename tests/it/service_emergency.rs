//! Emergency access over the network: what cannot wait is read by who may, everybody is told, and it is answered for.

use concordat::pb::{
    ledger::v1::{
        self as ledger, AgencyKind, EmergencyCategory, EmergencyFinding, EmergencyOffice,
        EmergencyReason, EmergencyReviewer, Purpose, command::Kind,
    },
    v1::{
        self as pb, EmergencyEvent, caseload_service_client::CaseloadServiceClient,
        disposal_service_client::DisposalServiceClient,
        emergency_service_client::EmergencyServiceClient, notice::About,
        notice_service_client::NoticeServiceClient, open_emergency_access_request::Subject,
        request_context::Actor, words::Text,
    },
};
use tonic::{Code, Status, transport::Channel};

use crate::{
    harness::{Agency, DAY_MS, Exchange, NOW, by_consent, context, draft, form, reason},
    service_words::read_in,
};

const CATEGORY: EmergencyCategory = EmergencyCategory::LifeInDanger;
const OFFICE: EmergencyOffice = EmergencyOffice::EmergencyClinician;

fn of(agency: &Agency) -> EmergencyServiceClient<Channel> {
    EmergencyServiceClient::new(agency.channel.clone())
}

#[expect(clippy::unnecessary_wraps, reason = "a request takes it so")]
fn staff(id: &str) -> Option<pb::RequestContext> {
    let staff =
        ledger::ActorDetail { staff_id: id.to_owned(), role: "on duty".to_owned(), office: 0 };
    let purpose = i32::from(Purpose::ChildProtection);
    let actor = Some(Actor::Staff(staff));
    Some(pb::RequestContext { purpose, actor, held_checkpoint: String::new() })
}

/// Core and identity of a form, in an emergency of the one category, to the one office.
fn in_emergency(publisher: &Agency, recipients: &[&Agency]) -> ledger::Flow {
    ledger::Flow {
        basis: i32::from(ledger::LawfulBasis::VitalInterests),
        gate: i32::from(ledger::Gate::None),
        emergency: Some(ledger::EmergencyTerms {
            categories: vec![i32::from(CATEGORY)],
            offices: vec![i32::from(OFFICE)],
        }),
        ..by_consent("emergencies", publisher, recipients)
    }
}

struct Ward {
    exchange: Exchange,
    council: Agency,
    health: Agency,
    record: String,
}

impl Ward {
    async fn new() -> Self {
        let exchange = Exchange::start().await;
        let council = exchange.agency("alder-council", AgencyKind::Council).await;
        let health = exchange.agency("nhs-heather", AgencyKind::HealthBoard).await;
        let flows =
            vec![by_consent("consented", &council, &[&health]), in_emergency(&council, &[&health])];
        exchange.agree("ward", &[&council, &health], flows).await;
        let request = pb::PublishRecordRequest {
            context: context(),
            request_id: council.request(),
            record: Some(draft(&form(1))),
            validate_only: false,
        };
        let published = council.exchange().publish_record(request).await.unwrap().into_inner();
        let record = published.receipt.unwrap().record;
        Self { exchange, council, health, record }
    }

    async fn authorise(&self) -> Result<(), Status> {
        let id = self.health.request_id();
        let offices = vec![i32::from(OFFICE)];
        let until_ms = NOW.plus(30 * DAY_MS).millis();
        let authorise = ledger::AuthoriseEmergency { offices, until_ms };
        let signature = self.health.signature(id, &Kind::AuthoriseEmergency(authorise.clone()));
        let request = pb::AuthoriseEmergencyOfficesRequest {
            context: context(),
            request_id: uuid::Uuid::from_bytes(*id.as_bytes()).to_string(),
            signature: Some(signature),
            authorise: Some(authorise),
            validate_only: false,
        };
        of(&self.health).authorise_emergency_offices(request).await.map(drop)
    }

    async fn open(
        &self,
        context: Option<pb::RequestContext>,
        subject: Subject,
    ) -> Result<pb::EmergencyAccess, Status> {
        let request = pb::OpenEmergencyAccessRequest {
            context,
            request_id: self.health.request(),
            category: i32::from(CATEGORY),
            reason: i32::from(EmergencyReason::CannotSpeak),
            office: i32::from(OFFICE),
            subject: Some(subject),
            words: "brought in unconscious".to_owned(),
        };
        let answer = of(&self.health).open_emergency_access(request).await?;
        Ok(answer.into_inner().emergency.unwrap())
    }

    async fn read(&self, id: &str, emergency: &str) -> Result<Vec<pb::Record>, Status> {
        let request = pb::ReadEmergencyRecordsRequest {
            context: staff(id),
            request_id: self.health.request(),
            emergency: emergency.to_owned(),
            page_token: String::new(),
        };
        let answer = of(&self.health).read_emergency_records(request).await?.into_inner();
        assert_eq!(answer.next_page_token, "");
        Ok(answer.records)
    }

    async fn notices(&self, agency: &Agency) -> Vec<About> {
        let request = pb::ListNoticesRequest {
            context: context(),
            after_number: 0,
            page_size: 100,
            page_token: String::new(),
        };
        let mut stub = NoticeServiceClient::new(agency.channel.clone());
        let notices = stub.list_notices(request).await.unwrap().into_inner().notices;
        let other = |about: &About| !matches!(about, About::Agreement(_));
        notices.into_iter().filter_map(|notice| notice.about).filter(other).collect()
    }
}

fn person(postcode: &str) -> Subject {
    let identity = form(1).identity.unwrap();
    Subject::Person(ledger::Person {
        forename: identity.forename.to_uppercase(),
        surname: identity.surname,
        date_of_birth: identity.date_of_birth,
        postcode: postcode.to_owned(),
    })
}

fn known() -> Subject {
    person(&form(1).contact.unwrap().postcode)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_wait_is_read_without_consent_by_who_may_and_everybody_is_told() {
    let ward = Ward::new().await;
    let refused = ward.open(staff("ann"), known()).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, "EMERGENCY_NOT_AUTHORISED".to_owned())
    );
    assert!(refused.message().contains("authorise the office beforehand"));
    ward.authorise().await.unwrap();
    let unattended = ward.open(context(), known()).await.unwrap_err();
    assert_eq!(reason(&unattended), "NAMED_ACTOR_REQUIRED");
    let opened = ward.open(staff("ann"), known()).await.unwrap();
    let records = ward.read("ann", &opened.name).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0].name, records[0].field_groups.len()), (&ward.record, 2));
    let ground = &records[0].grounds[0];
    assert_eq!((ground.flow.as_str(), ground.consents.len()), ("emergencies", 0));
    let told = ward.notices(&ward.council).await;
    // It is the reporting body too: it heard of what was refused.
    let [_, _, About::Emergency(emergency), About::Access(access)] = told.as_slice() else {
        unreachable!("{told:?}")
    };
    assert_eq!(emergency.event(), EmergencyEvent::Opened);
    assert_eq!((&emergency.emergency, emergency.office()), (&opened.name, OFFICE));
    assert!(emergency.client.starts_with("clients/") && emergency.client == access.client);
    assert_eq!((&access.record, &access.emergency), (&ward.record, &opened.name));
    assert_eq!((access.reader.as_str(), access.count), ("agencies/nhs-heather", 1));
    // The agency's own officer hears of what was refused, and of what was opened.
    let own = ward.notices(&ward.health).await;
    let events: Vec<_> = own
        .iter()
        .map(|about| {
            let About::Emergency(told) = about else { unreachable!("{about:?}") };
            told.event()
        })
        .collect();
    let refused = EmergencyEvent::Refused;
    assert_eq!(events, [refused, refused, EmergencyEvent::Opened]);
    drop(ward.exchange.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_is_answered_as_a_find_is_and_reads_as_nothing() {
    let ward = Ward::new().await;
    ward.authorise().await.unwrap();
    let bare = |access: &pb::EmergencyAccess| pb::EmergencyAccess {
        name: String::new(),
        search: 0,
        ..access.clone()
    };
    let found = ward.open(staff("ann"), known()).await.unwrap();
    for subject in [
        person("G2 6HJ"),
        Subject::Identifiers(ledger::Identifiers {
            scn: "123456785".to_owned(),
            ..Default::default()
        }),
        // The council's own id of its client is no business of the health board's.
        Subject::Identifiers(ledger::Identifiers {
            local_id: "IC-1".to_owned(),
            ..Default::default()
        }),
    ] {
        let missed = ward.open(staff("ann"), subject).await.unwrap();
        assert_eq!(bare(&missed), bare(&found));
        assert_eq!(ward.read("ann", &missed.name).await.unwrap(), []);
    }
    drop(ward.exchange.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_reviews_what_was_opened_and_both_sides_see_it() {
    let ward = Ward::new().await;
    ward.authorise().await.unwrap();
    let opened = ward.open(staff("ann"), known()).await.unwrap();
    let refused = ward.read("bob", &opened.name).await.unwrap_err();
    assert_eq!(reason(&refused), "EMERGENCY_ACTOR_NOT_ALLOWED");
    let review = |agency: &Agency, id: &str| pb::ReviewEmergencyAccessRequest {
        context: staff(id),
        request_id: agency.request(),
        emergency: opened.name.clone(),
        finding: i32::from(EmergencyFinding::NotJustified),
        reviewer: i32::from(EmergencyReviewer::DataProtectionOfficer),
        evidence: None,
    };
    let foreign = review(&ward.council, "officer");
    let foreign = of(&ward.council).review_emergency_access(foreign).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    let same = of(&ward.health).review_emergency_access(review(&ward.health, "ann")).await;
    assert_eq!(reason(&same.unwrap_err()), "EMERGENCY_ACTOR_NOT_ALLOWED");
    let request = review(&ward.health, "officer");
    let reviewed = of(&ward.health).review_emergency_access(request).await.unwrap().into_inner();
    let reviewed = reviewed.emergency.unwrap();
    assert!(reviewed.incident_recommended && !reviewed.overdue);
    let again = of(&ward.health).review_emergency_access(review(&ward.health, "officer")).await;
    assert_eq!(reason(&again.unwrap_err()), "EMERGENCY_WRONG_STATE");
    for (agency, published) in [(&ward.health, false), (&ward.council, true)] {
        let request = pb::ListEmergencyAccessRequest {
            context: context(),
            published,
            ..pb::ListEmergencyAccessRequest::default()
        };
        let listed = of(agency).list_emergency_access(request).await.unwrap().into_inner();
        let [shown] = listed.emergencies.as_slice() else { unreachable!("{listed:?}") };
        assert_eq!((&shown.name, shown.finding()), (&opened.name, EmergencyFinding::NotJustified));
        assert_eq!(shown.client.is_empty(), !published);
    }
    drop(ward.exchange.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reviews_reads_why_it_was_opened_and_who_was_looked_for() {
    let ward = Ward::new().await;
    ward.authorise().await.unwrap();
    let opened = ward.open(staff("ann"), person("G2 6HJ")).await.unwrap();
    let read = async |agency: &Agency, context| {
        read_in(&agency.channel, (context, agency.request()), &opened.name).await
    };
    let unattended = read(&ward.health, context()).await.unwrap_err();
    assert_eq!(reason(&unattended), "NAMED_ACTOR_REQUIRED");
    let foreign = read(&ward.council, staff("officer")).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    let words = read(&ward.health, staff("officer")).await.unwrap();
    let [pb::Words { text: Some(Text::Emergency(detail)), .. }] = words.as_slice() else {
        unreachable!("{words:?}")
    };
    assert_eq!(detail.words, "brought in unconscious");
    assert_eq!(detail.person.as_ref().unwrap().postcode, "G2 6HJ");
    drop(ward.exchange.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_looked_for_is_found_after_a_new_start_too() {
    let ward = Ward::new().await;
    ward.authorise().await.unwrap();
    let Ward { exchange, council, health, record } = ward;
    let certificates = exchange.directory.path().join("certs");
    drop((council, health));
    let directory = exchange.end().await;
    let exchange =
        Exchange::start_in(directory, &certificates, crate::harness::Setup::default()).await;
    let council = exchange.known("alder-council", AgencyKind::Council).await;
    let health = exchange.known("nhs-heather", AgencyKind::HealthBoard).await;
    let ward = Ward { exchange, council, health, record };
    let opened = ward.open(staff("ann"), known()).await.unwrap();
    assert_eq!(ward.read("ann", &opened.name).await.unwrap().len(), 1);
    drop(ward.exchange.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_against_a_record_is_marked_in_an_emergency_and_nowhere_else() {
    let ward = Ward::new().await;
    ward.authorise().await.unwrap();
    let opened = ward.open(staff("ann"), known()).await.unwrap();
    assert_eq!(ward.read("ann", &opened.name).await.unwrap()[0].marks, [0; 0]);
    let place = ledger::PlaceHold {
        record: crate::service_disposal::bytes(&ward.record),
        ground: i32::from(ledger::HoldGround::Safeguarding),
        ..ledger::PlaceHold::default()
    };
    let request = pb::PlaceHoldRequest {
        context: context(),
        request_id: ward.council.request(),
        place: Some(place),
        validate_only: false,
    };
    let mut disposals = DisposalServiceClient::new(ward.council.channel.clone());
    let _hold = disposals.place_hold(request).await.unwrap();
    let read = ward.read("ann", &opened.name).await.unwrap();
    assert_eq!(read[0].marks, [i32::from(pb::RecordMark::LegalHold)]);
    // Its publisher reads it by name, and knows by itself.
    let request = pb::GetRecordRequest {
        context: context(),
        request_id: ward.council.request(),
        name: ward.record.clone(),
        reason: i32::from(ledger::ReadReason::Service),
    };
    let own = ward.council.exchange().get_record(request).await.unwrap().into_inner();
    assert_eq!(own.record.unwrap().marks, [0; 0]);
    drop(ward.exchange.end().await);
}

/// Adds a client of an agency's own, with what the agency knows of the person.
async fn add(agency: &Agency, scn: &str, person: ledger::Person) {
    let request = pb::AddClientRequest {
        context: context(),
        request_id: agency.request(),
        identifiers: Some(ledger::Identifiers {
            local_id: agency.request(),
            scn: scn.to_owned(),
            person: Some(person),
        }),
        validate_only: false,
    };
    let mut stub = CaseloadServiceClient::new(agency.channel.clone());
    let _added = stub.add_client(request).await.unwrap();
}

fn particulars(forename: &str, postcode: &str) -> ledger::Person {
    let Subject::Person(person) = person(postcode) else { unreachable!("by a person") };
    ledger::Person { forename: forename.to_owned(), ..person }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_alone_know_decides_nothing_about_whom_a_search_means() {
    let ward = Ward::new().await;
    ward.authorise().await.unwrap();
    let (known_at, moved_to, scn) = (form(1).contact.unwrap().postcode, "G2 6HJ", "051234561");
    let mut second = form(2);
    let identity = second.identity.get_or_insert_default();
    "Eilidh".clone_into(&mut identity.forename);
    scn.clone_into(&mut identity.scn);
    let request = pb::PublishRecordRequest {
        context: context(),
        request_id: ward.council.request(),
        record: Some(draft(&second)),
        validate_only: false,
    };
    let _published = ward.council.exchange().publish_record(request).await.unwrap();
    // A stranger to both knows a namesake at the same address, and where the second one has moved to.
    let stranger = ward.exchange.agency("pine-council", AgencyKind::Council).await;
    let forename = form(1).identity.unwrap().forename;
    add(&stranger, "", particulars(&forename, &known_at)).await;
    add(&stranger, scn, particulars("Eilidh", moved_to)).await;
    for (sought, found) in [
        (known(), 1),
        (Subject::Person(particulars("Eilidh", &known_at)), 1),
        (Subject::Person(particulars("Eilidh", moved_to)), 0),
    ] {
        let opened = ward.open(staff("ann"), sought).await.unwrap();
        assert_eq!(ward.read("ann", &opened.name).await.unwrap().len(), found);
    }
    // What the health board itself was told counts.
    add(&ward.health, scn, particulars("Eilidh", moved_to)).await;
    let sought = Subject::Person(particulars("Eilidh", moved_to));
    let opened = ward.open(staff("bob"), sought).await.unwrap();
    assert_eq!(ward.read("bob", &opened.name).await.unwrap().len(), 1);
    assert_eq!(ward.notices(&stranger).await, []);
}
