//! Every RPC, for every kind of caller, over real connections.

use concordat::{
    pb::{
        ledger::v1::AgencyKind,
        v1::{AgreementVersion, GetAgencyRequest},
    },
    service::{
        callers::{self, Callers},
        rate::Rate,
        server::Limits,
    },
};
use tonic::{
    Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::service_bench::{NOW, Served, context, reason};

/// Calls the RPC with an empty message and gives its first answer.
async fn call(channel: &Channel, path: &'static str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let path = PathAndQuery::from_static(path);
    let response = grpc.server_streaming(Request::new(()), path, codec).await?;
    response.into_inner().message().await.map(drop)
}

/// The reason for which a caller was turned away; `None` if it was let in.
fn turned_away(answer: &Result<(), Status>) -> Option<String> {
    let status = answer.as_ref().err()?;
    let details = status.get_error_details();
    let reason = details.error_info()?.reason.clone();
    let doors =
        ["CERTIFICATE_MISSING", "CERTIFICATE_UNKNOWN", "CALLER_NOT_ALLOWED", "AGENCY_SUSPENDED"];
    doors.contains(&reason.as_str()).then_some(reason)
}

/// Holds every RPC to what `expected` says of its row.
async fn hold(channel: &Channel, who: &str, expected: fn(Callers) -> Option<&'static str>) {
    for path in callers::paths() {
        let answer = call(channel, path).await;
        let row = callers::of(path).unwrap();
        assert_eq!(turned_away(&answer).as_deref(), expected(row), "{path} as {who}: {answer:?}");
        let own = path.starts_with("/concordat.v1.") && !path.contains("ExchangeService");
        if own && expected(row).is_none() {
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{path} as {who}: {status:?}");
            assert_eq!(reason(&status), "INVALID_REQUEST");
            let details = status.get_error_details();
            let fields = &details.bad_request().unwrap().field_violations;
            assert!(fields.iter().all(|field| !field.field.is_empty()), "{path}: {fields:?}");
            assert!(!fields.is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn nobody_calls_without_a_certificate() {
    let served = Served::new().await;
    hold(&served.nobody().await, "nobody", |_| Some("CERTIFICATE_MISSING")).await;
}

#[tokio::test]
async fn a_certificate_that_belongs_to_nobody_may_look_and_enrol() {
    let served = Served::new().await;
    let stranger = served.stranger("stranger", AgencyKind::College).await;
    hold(&stranger.channel, "a stranger", |row| match row {
        Callers::AnyCertificate | Callers::Invited => None,
        Callers::Agency
        | Callers::StoppingAgency
        | Callers::Operator
        | Callers::AgencyOrOperator => Some("CERTIFICATE_UNKNOWN"),
    })
    .await;
}

#[tokio::test]
async fn an_agency_may_do_what_agencies_do() {
    let served = Served::new().await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    hold(&college.channel, "an agency", |row| match row {
        Callers::Operator => Some("CALLER_NOT_ALLOWED"),
        Callers::AnyCertificate
        | Callers::Invited
        | Callers::Agency
        | Callers::StoppingAgency
        | Callers::AgencyOrOperator => None,
    })
    .await;
}

#[tokio::test]
async fn the_operator_stands_in_for_no_agency() {
    let served = Served::new().await;
    hold(&served.operator.channel, "the operator", |row| match row {
        Callers::Agency | Callers::StoppingAgency | Callers::Invited => Some("CALLER_NOT_ALLOWED"),
        Callers::AnyCertificate | Callers::Operator | Callers::AgencyOrOperator => None,
    })
    .await;
}

#[tokio::test]
async fn a_suspended_agency_may_only_stop_and_look_at_what_everybody_sees() {
    let served = Served::new().await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    suspend(&served, "glen-college").await.unwrap();
    hold(&college.channel, "a suspended agency", |row| match row {
        Callers::AnyCertificate | Callers::StoppingAgency => None,
        Callers::Invited | Callers::Agency | Callers::Operator | Callers::AgencyOrOperator => {
            Some("AGENCY_SUSPENDED")
        }
    })
    .await;
    let again = suspend(&served, "glen-college").await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again)),
        (Code::FailedPrecondition, "AGENCY_WRONG_STATE".to_owned())
    );
}

async fn suspend(served: &Served, agency: &str) -> Result<(), Status> {
    use concordat::pb::{ledger::v1::SuspendAgency, v1::SuspendAgencyRequest};
    let request = SuspendAgencyRequest {
        context: context(),
        request_id: served.request_id(),
        suspend: Some(SuspendAgency { agency: agency.to_owned() }),
        validate_only: false,
    };
    served.operator.agencies().suspend_agency(request).await.map(drop)
}

#[tokio::test]
async fn a_method_that_is_not_in_the_table_is_for_nobody() {
    let served = Served::new().await;
    let path = "/concordat.v1.AgencyService/Nothing";
    let status = call(&served.operator.channel, path).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(reason(&status), "CALLER_NOT_ALLOWED");
}

#[tokio::test]
async fn a_revoked_certificate_ends_calls_and_live_streams_of_its_connection() {
    let served = Served::new().await;
    let college = served.agency("glen-college", AgencyKind::College).await;
    let mut health = HealthClient::new(college.channel.clone());
    let watched = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut stream = watched.into_inner();
    assert!(stream.message().await.unwrap().is_some());
    served.authority.revoke(&college.profile.certificate.serial, NOW).unwrap();
    served.trust.reload().unwrap();
    let refused = health.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(reason(&refused), "CERTIFICATE_NOT_TRUSTED");
    let five_seconds = std::time::Duration::from_secs(5);
    let cut = tokio::time::timeout(five_seconds, stream.message()).await.unwrap().unwrap_err();
    assert_eq!(reason(&cut), "CERTIFICATE_NOT_TRUSTED");
}

#[tokio::test]
async fn a_caller_that_calls_too_often_is_told_when_to_come_again() {
    let one = std::num::NonZeroU32::MIN;
    let rate = Rate { calls_per_second: one, burst_calls: one };
    let served = Served::with(Limits { rate, ..Limits::default() }).await;
    let mut health = HealthClient::new(served.operator.channel.clone());
    let mut refused = None;
    for _ in 0..3 {
        refused = health.check(HealthCheckRequest::default()).await.err().or(refused);
    }
    let status = refused.unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "RATE_EXCEEDED");
    let details = status.get_error_details();
    assert!(details.retry_info().unwrap().retry_delay.is_some());
    assert!(details.quota_failure().is_some());
}

#[tokio::test]
async fn what_a_caller_says_in_headers_changes_nothing() {
    let served = Served::new().await;
    let mut health = HealthClient::new(served.nobody().await);
    let mut request = Request::new(HealthCheckRequest::default());
    for header in ["x-agency", "forwarded", "x-forwarded-client-cert"] {
        request.metadata_mut().insert(header, "operator".parse().unwrap());
    }
    let status = health.check(request).await.unwrap_err();
    assert_eq!(reason(&status), "CERTIFICATE_MISSING");
}

#[tokio::test]
async fn what_does_not_decode_or_is_too_large_is_a_malformed_request() {
    let served = Served::new().await;
    let mut grpc = Grpc::new(served.operator.channel.clone());
    grpc.ready().await.unwrap();
    let codec: ProstCodec<AgreementVersion, ()> = ProstCodec::default();
    let path = PathAndQuery::from_static("/concordat.v1.AgencyService/GetAgency");
    // Where a context stands, these bytes are none.
    let other = AgreementVersion { agreement: "no context".to_owned(), version: 1 };
    let garbled = grpc.unary(Request::new(other), path, codec).await.unwrap_err();
    let name = "x".repeat(2 << 20);
    let large = GetAgencyRequest { context: context(), name };
    let large = served.operator.agencies().get_agency(large).await.unwrap_err();
    for status in [garbled, large] {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert_eq!(reason(&status), "INVALID_REQUEST");
    }
}
