//! The gRPC server: every service behind the callers' layer and the send gate, with every limit of HTTP/2 written out.
//!
//! tonic leaves hyper's safe values out where nothing is said, so everything is said here. TLS is
//! not tonic's: connections come with their handshake done.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::sync::watch;
use tonic::transport::{Server, server::Router};
use tonic_health::ServingStatus;

use crate::{
    identity::{acceptor::Incoming, trust::Trust},
    model::limit::MESSAGE_BYTES_MAX,
    node::Node,
    pb::{
        self,
        v1::{
            agency_service_server::AgencyServiceServer,
            agreement_service_server::AgreementServiceServer,
            case_service_server::CaseServiceServer, caseload_service_server::CaseloadServiceServer,
            consent_service_server::ConsentServiceServer,
            disclosure_service_server::DisclosureServiceServer,
            disposal_service_server::DisposalServiceServer,
            dispute_service_server::DisputeServiceServer,
            emergency_service_server::EmergencyServiceServer,
            exchange_service_server::ExchangeServiceServer,
            ledger_service_server::LedgerServiceServer, notice_service_server::NoticeServiceServer,
            policy_service_server::PolicyServiceServer, recall_service_server::RecallServiceServer,
            subscription_service_server::SubscriptionServiceServer,
            succession_service_server::SuccessionServiceServer,
            words_service_server::WordsServiceServer,
        },
    },
    service::{
        agency::Agencies,
        agreement::Agreements,
        caller::{CallerLayer, Served},
        case::Cases,
        caseload::Caseloads,
        consent::Consents,
        disclosure::Disclosures,
        disposal::Disposals,
        dispute::Disputes,
        emergency::Emergencies,
        exchange::{Exchange, Pace},
        gate::GateLayer,
        ledger::Ledgers,
        notice::Notices,
        policy::Policies,
        rate::{Rate, Rates},
        readable::ReadableLayer,
        recall::Recalls,
        subscription::Subscriptions,
        succession::Successions,
        words::AllWords,
    },
};

/// The bounds of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many RPCs one connection may have open.
    pub streams_per_connection_max: u32,
    /// How many streams a connection may force the server to reset before it is closed.
    pub error_resets_max: usize,
    /// How many streams may be reset by the caller before they were accepted.
    pub pending_resets_max: usize,
    /// The greatest size of one request's headers, in bytes.
    pub header_list_bytes_max: u32,
    /// How often an idle connection is asked whether it lives.
    pub keepalive_interval: Duration,
    /// How long it may take to say so.
    pub keepalive_timeout: Duration,
    /// How long a caller may take to send a unary request and get its answer.
    pub call_timeout: Duration,
    /// After what age a connection is asked to go; `None` for never.
    pub connection_age_max: Option<Duration>,
    /// How many calls one caller may make.
    pub rate: Rate,
    /// The rhythm of subscribers' streams.
    pub pace: Pace,
}

impl Default for Limits {
    /// 64 RPCs, 1,024 resets, 20 pending ones, 16 KiB of headers, 20 s twice, 60 s, no age, the default rate.
    fn default() -> Self {
        Self {
            streams_per_connection_max: 64,
            error_resets_max: 1_024,
            pending_resets_max: 20,
            header_list_bytes_max: 16 << 10,
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(20),
            call_timeout: Duration::from_mins(1),
            connection_age_max: None,
            rate: Rate::default(),
            pace: Pace::default(),
        }
    }
}

/// Serves until `shutdown` resolves and every connection has ended.
///
/// # Errors
/// The reflection descriptors do not decode, or the server cannot run.
pub async fn serve(
    node: Node,
    trust: Arc<Trust>,
    incoming: Incoming,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let gate = GateLayer::new(node.clone());
    let callers = CallerLayer::new(node.clone(), trust, Rates::new(limits.rate));
    let server = bounded(&limits).layer(callers).layer(gate).layer(ReadableLayer);
    let (stopping, stops) = watch::channel(false);
    let exchange = Exchange::new(node.clone(), stops, limits.pace)?;
    let router = with_services(server, &node, exchange)?;
    let incoming = incoming.map(|connection| Ok::<_, Infallible>(Served::new(connection)));
    // Connections end when their streams do, so the streams are told first.
    let shutdown = async move {
        shutdown.await;
        let _before = stopping.send_replace(true);
    };
    router.serve_with_incoming_shutdown(incoming, shutdown).await?;
    Ok(())
}

fn bounded(limits: &Limits) -> Server {
    let server = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection_max)
        .http2_max_local_error_reset_streams(Some(limits.error_resets_max))
        .http2_max_pending_accept_reset_streams(Some(limits.pending_resets_max))
        .http2_max_header_list_size(limits.header_list_bytes_max)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .timeout(limits.call_timeout);
    match limits.connection_age_max {
        Some(age) => server.max_connection_age(age),
        None => server,
    }
}

/// The greatest size of a message is the same in both directions and for every service.
macro_rules! sized {
    ($server:ident, $service:expr) => {
        $server::new($service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    };
}

fn with_services<L>(
    mut server: Server<L>,
    node: &Node,
    exchange: Exchange,
) -> Result<Router<L>, Box<dyn std::error::Error + Send + Sync>>
where
    L: Clone,
{
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let (reporter, health) = tonic_health::server::health_reporter();
    let router = server
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(sized!(AgencyServiceServer, Agencies::new(node.clone())))
        .add_service(sized!(AgreementServiceServer, Agreements::new(node.clone())))
        .add_service(sized!(CaseServiceServer, Cases::new(node.clone())))
        .add_service(sized!(CaseloadServiceServer, Caseloads::new(node.clone())))
        .add_service(sized!(ConsentServiceServer, Consents::new(node.clone())))
        .add_service(sized!(DisclosureServiceServer, Disclosures::new(node.clone())))
        .add_service(sized!(DisposalServiceServer, Disposals::new(node.clone())))
        .add_service(sized!(DisputeServiceServer, Disputes::new(node.clone())))
        .add_service(sized!(EmergencyServiceServer, Emergencies::new(node.clone())))
        .add_service(sized!(ExchangeServiceServer, exchange))
        .add_service(sized!(LedgerServiceServer, Ledgers::new(node.clone())))
        .add_service(sized!(NoticeServiceServer, Notices::new(node.clone())))
        .add_service(sized!(PolicyServiceServer, Policies::new(node.clone())))
        .add_service(sized!(RecallServiceServer, Recalls::new(node.clone())))
        .add_service(sized!(SubscriptionServiceServer, Subscriptions::new(node.clone())))
        .add_service(sized!(SuccessionServiceServer, Successions::new(node.clone())))
        .add_service(sized!(WordsServiceServer, AllWords::new(node.clone())));
    drop(tokio::spawn(report(reporter, node.clone())));
    Ok(router)
}

/// Tells health: the exchange serves until the node can take nothing more.
async fn report(reporter: tonic_health::server::HealthReporter, node: Node) {
    let services = || {
        super::callers::paths()
            .filter_map(|path| path.split('/').nth(1))
            .filter(|service| service.starts_with("concordat."))
    };
    for service in services() {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let _fault = node.broken().await;
    for service in services().chain([""]) {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}
