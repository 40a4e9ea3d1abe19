//! What is about people, over the wire: clients, claims, consents, policies and subscriptions.

use concordat::pb::{
    ledger::v1::{self as ledger, AgencyKind, command::Kind},
    v1::{self as pb, ClaimState, ConsentKind, ConsentState},
};
use tonic::{Code, Status};

use crate::{
    service_agreement::{agree, by_consent},
    service_bench::{NOW, Party, Served, context, reason, shape},
};

const SERVICE: i32 = 1;

/// A council that publishes to a college by consent, for clients whom the college serves.
pub(crate) async fn partners(served: &Served) -> (Party, Party) {
    let council = served.agency("inverclyde-council", AgencyKind::Council).await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    let flow = by_consent(&council, &college);
    agree(served, &[&council, &college], vec![flow]).await;
    (council, college)
}

/// Makes the person known to a party, and gives the party's own name.
pub(crate) async fn client(served: &Served, party: &Party, local_id: &str) -> String {
    let identifiers =
        ledger::Identifiers { local_id: local_id.to_owned(), scn: String::new(), person: None };
    let request = pb::AddClientRequest {
        context: context(),
        request_id: served.request_id(),
        identifiers: Some(identifiers),
        validate_only: false,
    };
    party.caseloads().add_client(request).await.unwrap().into_inner().client
}

pub(crate) fn alias(name: &str) -> bytes::Bytes {
    let digits = name.strip_prefix("clients/").unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks_exact(2).map(byte).collect::<Vec<_>>().into()
}

pub(crate) fn scope(client: &str) -> ledger::ConsentScope {
    ledger::ConsentScope {
        client: alias(client),
        publisher: "inverclyde-council".to_owned(),
        record_type: "leaver-form".to_owned(),
        groups: vec!["core".to_owned()],
        recipients: vec!["glen-college".to_owned()],
        gate: i32::from(ledger::Gate::DataProtectionConsent),
        ..ledger::ConsentScope::default()
    }
}

pub(crate) fn act() -> ledger::ConsentAct {
    ledger::ConsentAct {
        grantor: i32::from(ledger::Grantor::Self_),
        authority: 0,
        age_years: 16,
        method: i32::from(ledger::ConsentMethod::Form),
        given_at_ms: NOW.millis(),
        notice_digest: vec![5; 32].into(),
        ..ledger::ConsentAct::default()
    }
}

pub(crate) async fn consent(
    served: &Served,
    party: &Party,
    scope: ledger::ConsentScope,
) -> Result<pb::Consent, Status> {
    let record = ledger::RecordConsent {
        scope: Some(scope),
        act: Some(act()),
        expires_at_ms: 0,
        ..ledger::RecordConsent::default()
    };
    let request_id = served.request_id();
    let kind = Kind::RecordConsent(record.clone());
    let request = pb::RecordConsentRequest {
        context: context(),
        signature: served.signature(party, &request_id, &kind),
        request_id,
        record: Some(record),
        evidence: Some(ledger::Evidence {
            reference: "file 7".to_owned(),
            ..ledger::Evidence::default()
        }),
        validate_only: false,
    };
    Ok(party.consents().record_consent(request).await?.into_inner().consent.unwrap())
}

pub(crate) fn get_consent(name: &str) -> pb::GetConsentRequest {
    pb::GetConsentRequest { context: context(), name: name.to_owned(), reason: SERVICE }
}

pub(crate) async fn withdraw(
    served: &Served,
    party: &Party,
    name: &str,
) -> Result<pb::Consent, Status> {
    let consent = alias(&name.replace("consents/", "clients/"));
    let request = pb::WithdrawConsentRequest {
        context: context(),
        request_id: served.request_id(),
        withdraw: Some(ledger::WithdrawConsent {
            consent,
            recipients: Vec::new(),
            ..ledger::WithdrawConsent::default()
        }),
        evidence: None,
        validate_only: false,
    };
    Ok(party.consents().withdraw_consent(request).await?.into_inner().consent.unwrap())
}

#[tokio::test]
async fn a_consent_is_recorded_shown_withdrawn_and_superseded() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let first = consent(&served, &council, scope(&person)).await.unwrap();
    assert_eq!((first.kind(), first.state()), (ConsentKind::Consent, ConsentState::InForce));
    assert_eq!(first.client, person);
    let purposes = vec![i32::from(ledger::Purpose::SchoolLeaverTransition)];
    let named = ledger::ConsentScope { purposes, ..scope(&person) };
    assert_eq!((&first.scope, &first.act), (&Some(named), &Some(act())));
    let second = consent(&served, &council, scope(&person)).await.unwrap();
    let mut consents = council.consents();
    let shown = consents.get_consent(get_consent(&first.name)).await.unwrap().into_inner();
    assert_eq!(shown.consent.unwrap().state(), ConsentState::Superseded);
    // The recipient may withdraw, and learns the name alone.
    let by_college = withdraw(&served, &college, &second.name).await.unwrap();
    assert_eq!(by_college, pb::Consent { name: second.name.clone(), ..Default::default() });
    let shown = consents.get_consent(get_consent(&second.name)).await.unwrap().into_inner();
    let shown = shown.consent.unwrap();
    assert_eq!(shown.state(), ConsentState::Withdrawn);
    assert_eq!(shown.withdrawn_recipients, ["agencies/glen-college"]);
    assert!(shown.withdrawn_time.is_some());
    let again = withdraw(&served, &council, &second.name).await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again)),
        (Code::FailedPrecondition, "CONSENT_WRONG_STATE".to_owned())
    );
}

#[tokio::test]
async fn a_consent_is_seen_by_whoever_recorded_it_and_by_nobody_else() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let given = consent(&served, &council, scope(&person)).await.unwrap();
    let mut by_college = college.consents();
    let hidden = by_college.get_consent(get_consent(&given.name)).await.unwrap_err();
    let nothing = format!("consents/{}", "0".repeat(32));
    let absent = by_college.get_consent(get_consent(&nothing)).await.unwrap_err();
    assert_eq!(shape(&hidden), shape(&absent));
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let hidden = withdraw(&served, &stranger, &given.name).await.unwrap_err();
    let absent = withdraw(&served, &stranger, &nothing).await.unwrap_err();
    assert_eq!(shape(&hidden), shape(&absent));
    // Another agency's name of the client is no name of one's own.
    let foreign = consent(&served, &college, scope(&person)).await.unwrap_err();
    assert_eq!(reason(&foreign), "NOT_AVAILABLE");
    let list = pb::ListConsentsRequest {
        context: context(),
        reason: SERVICE,
        client: person.clone(),
        ..Default::default()
    };
    let seen = by_college.list_consents(list.clone()).await.unwrap().into_inner();
    assert_eq!(seen, pb::ListConsentsResponse::default());
    let own = council.consents().list_consents(list).await.unwrap().into_inner();
    assert_eq!(own.consents, [given]);
}

#[tokio::test]
async fn consents_come_in_pages_the_latest_first() {
    let served = Served::new().await;
    let (council, _college) = partners(&served).await;
    let person = client(&served, &council, "one").await;
    let mut names = Vec::new();
    for _ in 0..3 {
        names.push(consent(&served, &council, scope(&person)).await.unwrap().name);
    }
    names.reverse();
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = pb::ListConsentsRequest {
            context: context(),
            reason: SERVICE,
            client: String::new(),
            page_size: 2,
            page_token,
        };
        let page = council.consents().list_consents(list).await.unwrap().into_inner();
        listed.extend(page.consents.into_iter().map(|consent| consent.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, names);
}

#[tokio::test]
async fn a_read_about_a_person_says_why() {
    let served = Served::new().await;
    let (council, _college) = partners(&served).await;
    let list = pb::ListConsentsRequest { context: context(), ..Default::default() };
    let status = council.consents().list_consents(list).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_client_has_one_name_for_each_agency() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let one = client(&served, &council, "one").await;
    assert_eq!(client(&served, &council, "one").await, one);
    assert_ne!(client(&served, &council, "two").await, one);
    assert_ne!(client(&served, &college, "one").await, one);
    let request = pb::AddClientRequest {
        context: context(),
        request_id: served.request_id(),
        identifiers: Some(ledger::Identifiers::default()),
        validate_only: false,
    };
    let status = council.caseloads().add_client(request).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_REQUEST");
}

async fn claim(served: &Served, party: &Party, client: &str) -> Result<pb::Claim, Status> {
    let request = pb::OpenCaseloadRequest {
        context: context(),
        request_id: served.request_id(),
        open: Some(ledger::OpenCaseload { client: alias(client) }),
        validate_only: false,
    };
    Ok(party.caseloads().open_caseload(request).await?.into_inner().claim.unwrap())
}

#[tokio::test]
async fn an_agency_lists_its_own_claims_by_client() {
    let served = Served::new().await;
    let (_council, college) = partners(&served).await;
    let mut people = Vec::new();
    for local_id in ["one", "two", "three"] {
        let person = client(&served, &college, local_id).await;
        let opened = claim(&served, &college, &person).await.unwrap();
        assert_eq!((opened.client.as_str(), opened.state()), (person.as_str(), ClaimState::Open));
        people.push(person);
    }
    people.sort();
    let again = claim(&served, &college, &people[0]).await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again)),
        (Code::FailedPrecondition, "CASELOAD_WRONG_STATE".to_owned())
    );
    let mut list = pb::ListCaseloadRequest {
        context: context(),
        reason: SERVICE,
        page_size: 2,
        ..Default::default()
    };
    let first = college.caseloads().list_caseload(list.clone()).await.unwrap().into_inner();
    list.page_token = first.next_page_token.clone();
    let second = college.caseloads().list_caseload(list.clone()).await.unwrap().into_inner();
    assert_eq!(second.next_page_token, "");
    let claims = first.claims.iter().chain(&second.claims);
    assert_eq!(claims.map(|claim| claim.client.clone()).collect::<Vec<_>>(), people);
    list.reason = 2;
    let other = college.caseloads().list_caseload(list).await.unwrap_err();
    assert_eq!(reason(&other), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_claim_is_confirmed_by_who_publishes_and_hidden_from_others() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let stranger = served.agency("stranger", AgencyKind::Council).await;
    let by_council = client_by_scn(&served, &council).await;
    let by_college = client_by_scn(&served, &college).await;
    let by_stranger = client_by_scn(&served, &stranger).await;
    let list =
        || pb::ListClaimsRequest { context: context(), reason: SERVICE, ..Default::default() };
    let _opened = claim(&served, &college, &by_college).await.unwrap();
    let awaiting = council.caseloads().list_claims(list()).await.unwrap().into_inner();
    assert_eq!(awaiting.claims.len(), 1);
    assert_eq!(awaiting.claims[0].client, by_council);
    assert_eq!(awaiting.claims[0].agency, "agencies/glen-college");
    let others = stranger.caseloads().list_claims(list()).await.unwrap().into_inner();
    assert_eq!(others, pb::ListClaimsResponse::default());
    let confirm = async |party: &Party, client: &str| {
        let confirm =
            ledger::ConfirmCaseload { client: alias(client), agency: "glen-college".to_owned() };
        let request_id = served.request_id();
        let kind = Kind::ConfirmCaseload(confirm.clone());
        let request = pb::ConfirmCaseloadRequest {
            context: context(),
            signature: served.signature(party, &request_id, &kind),
            request_id,
            confirm: Some(confirm),
            validate_only: false,
        };
        party.caseloads().confirm_caseload(request).await
    };
    let hidden = confirm(&stranger, &by_stranger).await.unwrap_err();
    let absent = confirm(&stranger, &by_council).await.unwrap_err();
    assert_eq!(shape(&hidden), shape(&absent));
    let confirmed = confirm(&council, &by_council).await.unwrap().into_inner().claim.unwrap();
    assert_eq!(confirmed.state(), ClaimState::Confirmed);
    assert_eq!(confirmed.confirmer, "agencies/inverclyde-council");
    assert!(confirmed.opened_time.is_some() && confirmed.confirmed_time.is_some());
    let again = confirm(&council, &by_council).await.unwrap_err();
    assert_eq!(reason(&again), "CASELOAD_WRONG_STATE");
    let end = |client: &str| pb::EndCaseloadRequest {
        context: context(),
        request_id: served.request_id(),
        end: Some(ledger::EndCaseload { client: alias(client), agency: "glen-college".to_owned() }),
        validate_only: false,
    };
    assert!(council.caseloads().end_caseload(end(&by_council)).await.is_ok());
    let gone = college.caseloads().end_caseload(end(&by_college)).await.unwrap_err();
    assert_eq!(reason(&gone), "NOT_AVAILABLE");
}

/// One person, whom every agency knows by the same candidate number.
async fn client_by_scn(served: &Served, party: &Party) -> String {
    let scn = "123456785".to_owned();
    let identifiers = ledger::Identifiers { local_id: String::new(), scn, person: None };
    let request = pb::AddClientRequest {
        context: context(),
        request_id: served.request_id(),
        identifiers: Some(identifiers),
        validate_only: false,
    };
    party.caseloads().add_client(request).await.unwrap().into_inner().client
}

const FORBID: &str = "forbid(principal, action, resource);";

fn put(served: &Served, party: &Party, id: &str, text: &str) -> pb::PutPolicyRequest {
    let put = ledger::PutPolicy { policy: id.to_owned(), text: text.to_owned(), schema_version: 1 };
    let request_id = served.request_id();
    pb::PutPolicyRequest {
        context: context(),
        signature: served.signature(party, &request_id, &Kind::PutPolicy(put.clone())),
        request_id,
        put: Some(put),
        validate_only: false,
    }
}

#[tokio::test]
async fn a_policy_is_seen_by_its_agency_alone() {
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    let text = concordat::machine::access::verdict::canonical(FORBID).unwrap();
    let mut policies = council.policies();
    let request = put(&served, &council, "nothing-leaves", &text);
    let answer = policies.put_policy(request).await.unwrap().into_inner();
    let policy = answer.policy.unwrap();
    assert_eq!(policy.name, "agencies/inverclyde-council/policies/nothing-leaves");
    assert!(policy.put_time.is_some());
    let get = pb::GetPolicyRequest { context: context(), name: policy.name.clone() };
    assert_eq!(policies.get_policy(get.clone()).await.unwrap().into_inner().policy, Some(policy));
    let hidden = college.policies().get_policy(get.clone()).await.unwrap_err();
    let nothing = pb::GetPolicyRequest {
        name: "agencies/inverclyde-council/policies/nothing".to_owned(),
        ..get
    };
    let absent = policies.get_policy(nothing).await.unwrap_err();
    assert_eq!(shape(&hidden), shape(&absent));
    let request = put(&served, &council, "opens", "permit(principal, action, resource);");
    let status = policies.put_policy(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::InvalidArgument, "POLICY_INVALID".to_owned())
    );
    let list = pb::ListPoliciesRequest { context: context(), ..Default::default() };
    let own = policies.list_policies(list.clone()).await.unwrap().into_inner();
    assert_eq!(own.policies.len(), 1);
    let others = college.policies().list_policies(list).await.unwrap().into_inner();
    assert!(others.policies.is_empty());
}

fn create(served: &Served, id: &str) -> pb::CreateSubscriptionRequest {
    pb::CreateSubscriptionRequest {
        context: context(),
        request_id: served.request_id(),
        create: Some(ledger::CreateSubscription {
            subscription: id.to_owned(),
            record_types: vec!["leaver-form".to_owned()],
        }),
        validate_only: false,
    }
}

#[tokio::test]
async fn a_subscription_is_created_sought_listed_and_removed() {
    let served = Served::new().await;
    let (_council, college) = partners(&served).await;
    let mut subscriptions = college.subscriptions();
    let created = subscriptions.create_subscription(create(&served, "all")).await.unwrap();
    let created = created.into_inner().subscription.unwrap();
    assert_eq!(created.name, "agencies/glen-college/subscriptions/all");
    assert_eq!((created.released_count, created.outstanding_count), (0, 0));
    let exists = subscriptions.create_subscription(create(&served, "all")).await.unwrap_err();
    assert_eq!(
        (exists.code(), reason(&exists)),
        (Code::AlreadyExists, "SUBSCRIPTION_EXISTS".to_owned())
    );
    let seek = |place| pb::SeekSubscriptionRequest {
        context: context(),
        request_id: served.request_id(),
        name: created.name.clone(),
        place: Some(place),
        validate_only: false,
    };
    let beginning = seek(pb::seek_subscription_request::Place::Beginning(true));
    assert!(subscriptions.seek_subscription(beginning).await.is_ok());
    let foreign = served.node.cursor(&college.id, &"other".parse().unwrap(), 1).unwrap();
    let foreign = seek(pb::seek_subscription_request::Place::AfterCursor(foreign));
    let status = subscriptions.seek_subscription(foreign).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::InvalidArgument, "CURSOR_INVALID".to_owned())
    );
    let remove = pb::RemoveSubscriptionRequest {
        context: context(),
        request_id: served.request_id(),
        remove: Some(ledger::RemoveSubscription { subscription: "all".to_owned() }),
        validate_only: false,
    };
    assert!(subscriptions.remove_subscription(remove).await.is_ok());
    let list = pb::ListSubscriptionsRequest { context: context(), ..Default::default() };
    let left = subscriptions.list_subscriptions(list).await.unwrap().into_inner();
    assert!(left.subscriptions.is_empty());
}

#[tokio::test]
async fn what_is_parked_is_for_its_recipient_and_its_publisher() {
    use pb::list_parked_request::View;
    let served = Served::new().await;
    let (council, college) = partners(&served).await;
    college.subscriptions().create_subscription(create(&served, "all")).await.unwrap();
    let list =
        |view| pb::ListParkedRequest { context: context(), view: Some(view), ..Default::default() };
    let own = View::Subscription("agencies/glen-college/subscriptions/all".to_owned());
    let parked = college.subscriptions().list_parked(list(own.clone())).await.unwrap();
    assert!(parked.into_inner().parked.is_empty());
    let hidden = council.subscriptions().list_parked(list(own)).await.unwrap_err();
    assert_eq!(reason(&hidden), "NOT_AVAILABLE");
    let published = council.subscriptions().list_parked(list(View::Published(true))).await;
    assert!(published.unwrap().into_inner().parked.is_empty());
}
