//! Agencies over the wire: invitation, enrolment, keys, names and pages.

use concordat::pb::{
    ledger::v1::{self as ledger, AgencyKind, command::Kind},
    v1::{self as pb, AgencyState},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::service_bench::{NOW, Served, context, reason, shape};

fn get(name: &str) -> pb::GetAgencyRequest {
    pb::GetAgencyRequest { context: context(), name: name.to_owned() }
}

fn list(page_size: i32, page_token: &str) -> pb::ListAgenciesRequest {
    pb::ListAgenciesRequest { context: context(), page_size, page_token: page_token.to_owned() }
}

#[tokio::test]
async fn an_agency_is_invited_enrols_and_is_seen() {
    let served = Served::new().await;
    let college = served.stranger("glen-college", AgencyKind::College).await;
    let invited = served.invite("glen-college", AgencyKind::College).await.unwrap();
    assert_eq!(invited.agency.unwrap().state(), AgencyState::Invited);
    assert!(!invited.decision_id.is_empty());
    let request = served.enrolment(&college);
    let enrolled = college.agencies().enrol_agency(request.clone()).await.unwrap().into_inner();
    let agency = enrolled.agency.unwrap();
    assert_eq!(agency.name, "agencies/glen-college");
    assert_eq!(agency.state(), AgencyState::Enrolled);
    assert_eq!(agency.certificates, [college.fingerprint()]);
    assert!(agency.enrolled_time.is_some() && agency.invited_time.is_some());
    // Under the enrolled certificate, the same request is answered as before.
    let again = college.agencies().enrol_agency(request).await.unwrap().into_inner();
    assert_eq!(again.agency, Some(agency.clone()));
    assert_ne!(again.decision_id, enrolled.decision_id);
    assert_eq!(again.decision_id.len(), enrolled.decision_id.len());
    let other = served.agency("other", AgencyKind::Council).await;
    let seen = other.agencies().get_agency(get("agencies/glen-college")).await.unwrap();
    let seen = seen.into_inner().agency.unwrap();
    assert_eq!(seen.key_fingerprint, agency.key_fingerprint);
    assert!(seen.certificates.is_empty() && seen.invited_time.is_none());
}

#[tokio::test]
async fn every_invitation_that_does_not_hold_is_answered_alike() {
    let served = Served::new().await;
    let college = served.stranger("glen-college", AgencyKind::College).await;
    let unknown = served.enrolment(&college);
    let unknown = college.agencies().enrol_agency(unknown).await.unwrap_err();
    assert_eq!(
        (unknown.code(), reason(&unknown)),
        (Code::FailedPrecondition, "INVITATION_INVALID".to_owned())
    );
    served.invite("glen-college", AgencyKind::College).await.unwrap();
    let mut wrong = served.enrolment(&college);
    let enrol = wrong.enrol.as_mut().unwrap();
    enrol.secret = b"another secret of the kind".to_vec().into();
    let kind = Kind::EnrolAgency(enrol.clone());
    wrong.signature = served.signature(&college, &wrong.request_id, &kind);
    let wrong = college.agencies().enrol_agency(wrong).await.unwrap_err();
    assert_eq!(shape(&wrong), shape(&unknown));
    // Whoever did not sign rightly learns nothing of invitations.
    let nowhere = served.stranger("nowhere", AgencyKind::College).await;
    for party in [&college, &nowhere] {
        let mut unsigned = served.enrolment(party);
        unsigned.signature.as_mut().unwrap().value = vec![0; 64].into();
        let unsigned = party.agencies().enrol_agency(unsigned).await.unwrap_err();
        assert_eq!(
            (unsigned.code(), reason(&unsigned)),
            (Code::PermissionDenied, "SIGNATURE_INVALID".to_owned())
        );
    }
}

#[tokio::test]
async fn keys_name_the_certificate_of_their_connection() {
    let served = Served::new().await;
    let college = served.stranger("glen-college", AgencyKind::College).await;
    served.invite("glen-college", AgencyKind::College).await.unwrap();
    let mut request = served.enrolment(&college);
    let enrol = request.enrol.as_mut().unwrap();
    enrol.keys.as_mut().unwrap().certificates = vec![vec![1; 32].into()];
    let kind = Kind::EnrolAgency(enrol.clone());
    request.signature = served.signature(&college, &request.request_id, &kind);
    let status = college.agencies().enrol_agency(request).await.unwrap_err();
    assert_eq!(reason(&status), "CERTIFICATE_NOT_LISTED");
}

#[tokio::test]
async fn keys_are_replaced_and_the_old_certificate_is_turned_away() {
    let served = Served::new().await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    let next = served.authority.issue_agency(&"glen-college-next".parse().unwrap(), NOW).unwrap();
    let fingerprint: bytes::Bytes = next.certificate.fingerprint.as_bytes().to_vec().into();
    let rotate = |certificates: Vec<bytes::Bytes>| {
        let signing_key = college.signing.public().to_vec().into();
        let keys = Some(ledger::AgencyKeys { signing_key, certificates });
        let rotate = ledger::RotateKeys { keys };
        let request_id = served.request_id();
        let kind = Kind::RotateKeys(rotate.clone());
        pb::RotateKeysRequest {
            context: context(),
            signature: served.signature(&college, &request_id, &kind),
            request_id,
            rotate: Some(rotate),
            validate_only: false,
        }
    };
    let both = vec![college.fingerprint(), fingerprint.clone()];
    let rotated = college.agencies().rotate_keys(rotate(both)).await.unwrap().into_inner();
    assert_eq!(rotated.agency.unwrap().certificates.len(), 2);
    let channel = served.channel(&next.directory).await;
    let mut by_next = pb::agency_service_client::AgencyServiceClient::new(channel);
    by_next.rotate_keys(rotate(vec![fingerprint])).await.unwrap();
    let old = college.agencies().get_agency(get("agencies/glen-college")).await.unwrap_err();
    assert_eq!(
        (old.code(), reason(&old)),
        (Code::Unauthenticated, "CERTIFICATE_UNKNOWN".to_owned())
    );
    assert!(by_next.get_agency(get("agencies/glen-college")).await.is_ok());
}

#[tokio::test]
async fn a_request_only_checked_changes_nothing_and_one_reused_is_refused() {
    let served = Served::new().await;
    let invite = ledger::InviteAgency {
        agency: "glen-college".to_owned(),
        kind: i32::from(AgencyKind::College),
        secret_digest: vec![1; 32].into(),
        expires_at_ms: NOW.plus(1_000).millis(),
    };
    let mut request = pb::InviteAgencyRequest {
        context: context(),
        request_id: served.request_id(),
        invite: Some(invite),
        validate_only: true,
    };
    let mut operator = served.operator.agencies();
    let checked = operator.invite_agency(request.clone()).await.unwrap().into_inner();
    assert_eq!(checked, pb::InviteAgencyResponse::default());
    let absent = operator.get_agency(get("agencies/glen-college")).await.unwrap_err();
    assert_eq!((absent.code(), reason(&absent)), (Code::NotFound, "NOT_AVAILABLE".to_owned()));
    request.validate_only = false;
    assert!(operator.invite_agency(request.clone()).await.is_ok());
    request.invite.as_mut().unwrap().kind = i32::from(AgencyKind::Council);
    let reused = operator.invite_agency(request.clone()).await.unwrap_err();
    assert_eq!((reused.code(), reason(&reused)), (Code::Aborted, "REQUEST_REUSED".to_owned()));
    request.request_id = "01858bd6-2000-7000-8000-000000000001".to_owned();
    let old = operator.invite_agency(request).await.unwrap_err();
    assert_eq!(
        (old.code(), reason(&old)),
        (Code::FailedPrecondition, "REQUEST_TOO_OLD".to_owned())
    );
    assert_eq!(
        old.get_error_details().precondition_failure().unwrap().violations[0].r#type,
        "REQUEST_TOO_OLD"
    );
}

#[tokio::test]
async fn malformed_fields_are_named_by_their_paths() {
    let served = Served::new().await;
    let invite = ledger::InviteAgency { agency: "Glen College".to_owned(), ..Default::default() };
    let mut request = pb::InviteAgencyRequest {
        context: context(),
        request_id: served.request_id(),
        invite: Some(invite),
        validate_only: false,
    };
    let mut operator = served.operator.agencies();
    let mut field = async |request: &pb::InviteAgencyRequest| {
        let status = operator.invite_agency(request.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_REQUEST");
        let details = status.get_error_details();
        details.bad_request().unwrap().field_violations[0].field.clone()
    };
    assert_eq!(field(&request).await, "invite.agency");
    request.invite.as_mut().unwrap().agency = "glen-college".to_owned();
    assert_eq!(field(&request).await, "invite.kind");
    request.request_id = "today".to_owned();
    assert_eq!(field(&request).await, "request_id");
    request.context.as_mut().unwrap().actor = None;
    assert_eq!(field(&request).await, "context.actor");
    request.context.as_mut().unwrap().purpose = 0;
    assert_eq!(field(&request).await, "context.purpose");
    request.context = None;
    assert_eq!(field(&request).await, "context");
    request.invite = None;
    assert_eq!(field(&request).await, "invite");
}

#[tokio::test]
async fn pages_depend_on_what_their_caller_may_see() {
    let served = Served::new().await;
    let college = served.agency("b-college", AgencyKind::College).await;
    let council = served.agency("d-council", AgencyKind::Council).await;
    for id in ["a-invited", "c-invited", "e-invited"] {
        served.invite(id, AgencyKind::Voluntary).await.unwrap();
    }
    let names = |page: &pb::ListAgenciesResponse| -> Vec<String> {
        page.agencies.iter().map(|agency| agency.name.clone()).collect()
    };
    let first = college.agencies().list_agencies(list(1, "")).await.unwrap().into_inner();
    assert_eq!(names(&first), ["agencies/b-college"]);
    let token = first.next_page_token;
    let second = college.agencies().list_agencies(list(1, &token)).await.unwrap().into_inner();
    assert_eq!(names(&second), ["agencies/d-council"]);
    // Nothing tells of the invited one that would come next.
    assert_eq!(second.next_page_token, "");
    let all = served.operator.agencies().list_agencies(list(0, "")).await.unwrap().into_inner();
    assert_eq!(names(&all).len(), 5);
    for (party, token) in [(&council, token.as_str()), (&served.operator, &token), (&college, "x")]
    {
        let foreign = party.agencies().list_agencies(list(1, token)).await.unwrap_err();
        assert_eq!(
            (foreign.code(), reason(&foreign)),
            (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned())
        );
    }
    let size = college.agencies().list_agencies(list(101, "")).await.unwrap_err();
    assert_eq!(reason(&size), "INVALID_REQUEST");
}
