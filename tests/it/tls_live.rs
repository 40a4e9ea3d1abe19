//! An acceptor that runs: revocation and expiry under live connections, rotation, stalled and senseless callers.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

use std::{
    fs,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use concordat::{
    identity::{
        acceptor::{Connection, Incoming, Limits},
        certificate::PeerCertificate,
        development::{DevelopmentAuthority, IssuedProfile},
        time::TimeSource,
        trust::{Distrust, Reload, Trust},
        upkeep::Upkeep,
    },
    model::order::UnixMillis,
};
use futures::StreamExt;
use rustls::AlertDescription;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::tls_bench::{Bench, Caller, DAY, Ending, Exchange, NOW, Pair, VERSIONS, days_ago};

/// The type byte of a TLS alert record (RFC 8446 §5.1).
const ALERT: u8 = 21;
/// A deadline that no test reaches.
const FOREVER: Duration = Duration::from_hours(1);

async fn connected(
    bench: &Bench,
    exchange: &mut Exchange,
    profile: &IssuedProfile,
) -> Arc<PeerCertificate> {
    let [_, version] = VERSIONS;
    let caller = Caller::new(bench, version, Some(&Pair::of_profile(profile)));
    let (ending, _) = caller.call(exchange.address).await;
    assert_eq!(ending, Ending::Greeted(profile.certificate.fingerprint.to_string()));
    exchange.peers.recv().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_revocation_reaches_new_and_live_connections_at_the_reload() {
    let bench = Bench::new();
    let (good, bad) = (bench.agency("glen-college", NOW), bench.agency("lost-laptop", NOW));
    let mut exchange = bench.exchange().await;
    let live_good = connected(&bench, &mut exchange, &good).await;
    let live_bad = connected(&bench, &mut exchange, &bad).await;
    assert_eq!(live_bad.serial(), &bad.certificate.serial);

    bench.authority.revoke(&bad.certificate.serial, NOW).unwrap();
    assert_eq!(exchange.trust.recheck(&live_bad), Ok(()));
    assert_eq!(exchange.trust.reload(), Ok(Reload::Changed));
    assert_eq!(exchange.trust.reload(), Ok(Reload::Unchanged));

    assert_eq!(exchange.trust.recheck(&live_bad), Err(Distrust::Revoked));
    assert_eq!(exchange.trust.recheck(&live_good), Ok(()));
    for version in VERSIONS {
        let caller = Caller::new(&bench, version, Some(&Pair::of_profile(&bad)));
        let (ending, _) = caller.call(exchange.address).await;
        assert_eq!(ending, Ending::Alert(AlertDescription::CertificateRevoked), "{version:?}");
    }
    connected(&bench, &mut exchange, &good).await;
}

#[tokio::test]
async fn a_callers_session_does_not_outlive_its_certificate() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    for version in VERSIONS {
        let exchange = bench.exchange().await;
        let caller = Caller::new(&bench, version, Some(&Pair::of_profile(&profile)));
        assert!(matches!(caller.call(exchange.address).await.0, Ending::Greeted(_)));
        bench.authority.revoke(&profile.certificate.serial, NOW).unwrap();
        exchange.trust.reload().unwrap();
        let (ending, _) = caller.call(exchange.address).await;
        assert_eq!(ending, Ending::Alert(AlertDescription::CertificateRevoked), "{version:?}");
        fs::remove_file(bench.path("crl.pem")).unwrap();
        fs::write(bench.path("crl.pem"), Bench::empty_list(&bench.issuer())).unwrap();
    }
}

#[tokio::test]
async fn time_alone_ends_the_trust_in_a_live_connection() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", days_ago(300));
    let clock = Arc::new(AtomicU64::new(NOW.millis()));
    let time = {
        let clock = Arc::clone(&clock);
        TimeSource::new(move || UnixMillis::new(clock.load(Ordering::Relaxed)))
    };
    let mut exchange = Exchange::start(bench.files(), time, Limits::default()).await;
    let live = connected(&bench, &mut exchange, &profile).await;

    let list_ends = exchange.trust.revocation_lists_expire();
    assert_eq!(list_ends, NOW.plus(DAY));
    clock.store(list_ends.plus(999).millis(), Ordering::Relaxed);
    assert_eq!(exchange.trust.recheck(&live), Ok(()));
    clock.store(list_ends.plus(1_000).millis(), Ordering::Relaxed);
    assert_eq!(exchange.trust.recheck(&live), Err(Distrust::RevocationUnknown));

    bench.authority.renew_revocation_list(live.not_after()).unwrap();
    assert_eq!(exchange.trust.reload(), Ok(Reload::Changed));
    assert_eq!(exchange.trust.recheck(&live), Ok(()));
    clock.store(live.not_after().plus(999).millis(), Ordering::Relaxed);
    assert_eq!(exchange.trust.recheck(&live), Ok(()));
    clock.store(live.not_after().plus(1_000).millis(), Ordering::Relaxed);
    assert_eq!(exchange.trust.recheck(&live), Err(Distrust::Expired));
}

#[tokio::test]
async fn an_idle_exchange_keeps_its_development_list_in_force() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let clock = Arc::new(AtomicU64::new(NOW.millis()));
    let time = {
        let clock = Arc::clone(&clock);
        TimeSource::new(move || UnixMillis::new(clock.load(Ordering::Relaxed)))
    };
    let mut exchange = Exchange::start(bench.files(), time, Limits::default()).await;
    let live = connected(&bench, &mut exchange, &profile).await;
    let authority = DevelopmentAuthority::open(bench.directory.path()).unwrap();
    let upkeep = Upkeep::new(Arc::clone(&exchange.trust), Some(authority));
    assert_eq!(upkeep.look(), Ok(Reload::Unchanged));
    for hour in 1..=24 * 30 {
        clock.store(NOW.plus(hour * DAY / 24).millis(), Ordering::Relaxed);
        let expected = if hour % 12 == 0 { Reload::Changed } else { Reload::Unchanged };
        assert_eq!(upkeep.look(), Ok(expected), "hour {hour}");
        assert_eq!(exchange.trust.recheck(&live), Ok(()), "hour {hour}");
    }
    fs::remove_file(bench.path("crl.pem")).unwrap();
    assert!(upkeep.look().is_err());
    assert_eq!(exchange.trust.recheck(&live), Ok(()));
}

#[tokio::test]
async fn an_authority_taken_away_takes_its_live_connections_along() {
    let (bench, successor) = (Bench::new(), Bench::new());
    let profile = bench.agency("glen-college", NOW);
    let mut exchange = bench.exchange().await;
    let live = connected(&bench, &mut exchange, &profile).await;
    for name in ["ca.crt", "crl.pem", "server.crt", "server.key"] {
        fs::copy(successor.path(name), bench.path(name)).unwrap();
    }
    assert_eq!(exchange.trust.reload(), Ok(Reload::Changed));
    assert_eq!(exchange.trust.recheck(&live), Err(Distrust::NotTrusted));
}

#[tokio::test]
async fn a_broken_file_leaves_everything_as_it_was() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let mut exchange = bench.exchange().await;
    let live = connected(&bench, &mut exchange, &profile).await;
    for name in ["ca.crt", "crl.pem", "server.crt", "server.key"] {
        let whole = fs::read(bench.path(name)).unwrap();
        for broken in [&b""[..], &whole[..whole.len() / 2], b"nonsense"] {
            fs::write(bench.path(name), broken).unwrap();
            assert!(exchange.trust.reload().is_err(), "{name}");
        }
        fs::remove_file(bench.path(name)).unwrap();
        assert!(exchange.trust.reload().is_err(), "{name}");
        fs::write(bench.path(name), &whole).unwrap();
    }
    assert_eq!(exchange.trust.reload(), Ok(Reload::Unchanged));
    assert_eq!(exchange.trust.recheck(&live), Ok(()));
    connected(&bench, &mut exchange, &profile).await;
}

#[tokio::test]
async fn a_hundred_rotations_lose_no_caller() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let mut exchange = bench.exchange().await;
    let live = connected(&bench, &mut exchange, &profile).await;
    for _ in 0..100 {
        bench.authority.issue_server(&[], NOW).unwrap();
        assert_eq!(exchange.trust.reload(), Ok(Reload::Changed));
        connected(&bench, &mut exchange, &profile).await;
        assert_eq!(exchange.trust.recheck(&live), Ok(()));
    }
}

#[tokio::test]
async fn callers_that_stall_delay_nobody() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let limits = Limits { handshake_timeout: FOREVER, ..Limits::default() };
    let mut exchange = Exchange::start(bench.files(), TimeSource::fixed(NOW), limits).await;
    let mut stalled = Vec::new();
    for silent in [true, false].repeat(50) {
        let mut stream = TcpStream::connect(exchange.address).await.unwrap();
        if !silent {
            // The header of a ClientHello that never comes.
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).await.unwrap();
        }
        stalled.push(stream);
    }
    connected(&bench, &mut exchange, &profile).await;
}

#[tokio::test]
async fn a_stalled_handshake_is_cut_at_its_deadline() {
    let bench = Bench::new();
    let limits = Limits { handshake_timeout: Duration::from_millis(20), ..Limits::default() };
    let exchange = Exchange::start(bench.files(), TimeSource::fixed(NOW), limits).await;
    let mut stalled = TcpStream::connect(exchange.address).await.unwrap();
    assert_eq!(stalled.read(&mut [0; 16]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_refused_caller_that_never_hangs_up_is_cut_at_the_same_deadline() {
    let bench = Bench::new();
    let limits = Limits { handshake_timeout: Duration::from_millis(250), ..Limits::default() };
    let exchange = Exchange::start(bench.files(), TimeSource::fixed(NOW), limits).await;
    let mut refused = TcpStream::connect(exchange.address).await.unwrap();
    refused.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    refused.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&ALERT));
    // Whoever goes on writing to a socket that was dropped is told so by a reset.
    while refused.write_all(b"more").await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn when_too_many_handshakes_are_under_way_the_oldest_makes_room() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let limits = Limits { handshake_timeout: FOREVER, handshakes_max: 4, ..Limits::default() };
    let mut exchange = Exchange::start(bench.files(), TimeSource::fixed(NOW), limits).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(TcpStream::connect(exchange.address).await.unwrap());
    }
    connected(&bench, &mut exchange, &profile).await;
    let oldest = stalled.first_mut().unwrap();
    assert_eq!(oldest.read(&mut [0; 16]).await.unwrap_or(0), 0);
    let youngest = stalled.last_mut().unwrap();
    assert_eq!(
        youngest.try_read(&mut [0; 16]).map_err(|error| error.kind()),
        Err(std::io::ErrorKind::WouldBlock)
    );
}

#[tokio::test]
async fn no_caller_takes_the_places_of_another() {
    let bench = Bench::new();
    let greedy = Pair::of_profile(&bench.agency("greedy", NOW));
    let modest = Pair::of_profile(&bench.agency("modest", NOW));
    let limits = Limits {
        connections_per_caller_max: 2,
        connections_without_certificate_max: 1,
        ..Limits::default()
    };
    let trust = Trust::open(bench.files(), TimeSource::fixed(NOW)).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut incoming = Incoming::new(listener, trust, limits);
    let address = incoming.local_address().unwrap();
    let [_, version] = VERSIONS;
    let open = async |pair: Option<&Pair>| Caller::new(&bench, version, pair).call(address).await.0;
    let closed_at_once = Ending::Greeted(String::new());

    // The callers never hang up by themselves: each waits for a greeting that only a closed connection ends.
    let (first, second, third) = (open(Some(&greedy)), open(Some(&greedy)), open(Some(&greedy)));
    tokio::pin!(first, second, third);
    let kept_first = admitted(&mut incoming, first.as_mut()).await.unwrap();
    let kept_second = admitted(&mut incoming, second.as_mut()).await.unwrap();
    assert_eq!(admitted(&mut incoming, third).await.unwrap_err(), closed_at_once);
    let (other, nobody, another_nobody) = (open(Some(&modest)), open(None), open(None));
    tokio::pin!(other, nobody);
    let _other = admitted(&mut incoming, other.as_mut()).await.unwrap();
    let _nobody = admitted(&mut incoming, nobody.as_mut()).await.unwrap();
    tokio::pin!(another_nobody);
    assert_eq!(admitted(&mut incoming, another_nobody).await.unwrap_err(), closed_at_once);

    drop(kept_first);
    let fourth = open(Some(&greedy));
    tokio::pin!(fourth);
    assert!(admitted(&mut incoming, fourth.as_mut()).await.is_ok());
    drop(kept_second);
}

/// What comes first: the exchange admits a connection, or the caller's call ends.
async fn admitted(
    incoming: &mut Incoming,
    call: impl Future<Output = Ending>,
) -> Result<Connection, Ending> {
    tokio::select! {
        connection = incoming.next() => Ok(connection.unwrap()),
        ending = call => Err(ending),
    }
}

#[tokio::test]
async fn plain_http_and_senseless_bytes_get_an_alert_and_harm_nobody() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let mut exchange = bench.exchange().await;
    let senseless = [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0; 64],
        &[255; 64],
        // A ClientHello whose inside is nothing.
        &[22, 3, 1, 0, 4, 1, 0, 0, 0],
        // Application data before any handshake.
        &[23, 3, 3, 0, 4, 1, 2, 3, 4],
    ];
    for bytes in senseless {
        let mut stream = TcpStream::connect(exchange.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.first(), Some(&ALERT), "{bytes:?} got {answer:?}");
        assert_eq!(answer.len(), 7, "{bytes:?} got {answer:?}");
    }
    assert!(exchange.peers.try_recv().is_err());
    connected(&bench, &mut exchange, &profile).await;
}

#[tokio::test]
async fn old_versions_and_other_protocols_get_their_alerts() {
    let bench = Bench::new();
    let exchange = bench.exchange().await;
    for version in VERSIONS {
        let caller = Caller::new(&bench, version, None).speaking(b"http/1.1");
        let (ending, _) = caller.call(exchange.address).await;
        assert_eq!(ending, Ending::Alert(AlertDescription::NoApplicationProtocol), "{version:?}");
    }
    // A ClientHello of TLS 1.1 (RFC 4346 §7.4.1.2) that offers TLS_RSA_WITH_AES_128_CBC_SHA.
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut stream = TcpStream::connect(exchange.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [ALERT, 3, 3, 0, 2, 2, AlertDescription::HandshakeFailure.into()]);
}

#[tokio::test]
async fn bytes_drawn_from_seeds_harm_nobody() {
    let bench = Bench::new();
    let profile = bench.agency("glen-college", NOW);
    let mut exchange = bench.exchange().await;
    for seed in 0..200_u64 {
        let bytes: Vec<u8> = (0..16_u64)
            .flat_map(|block| {
                let parts = [seed.to_be_bytes(), block.to_be_bytes()].concat();
                *concordat::model::digest::Digest::of_concatenation(&[&parts]).as_bytes()
            })
            .collect();
        let mut stream = TcpStream::connect(exchange.address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    assert!(exchange.peers.try_recv().is_err());
    connected(&bench, &mut exchange, &profile).await;
}
