//! The provider against a strict server that fails where real ones cannot be made to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use fleetdns_core::ProviderError;
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;

use fleetdns_fakes::rfc2136::{Strict, Transfer, ZONE};

const RECORDS: u8 = 250;

async fn with_records() -> Strict {
    let server = Strict::start().await;
    for index in 0..RECORDS {
        server.put(&format!("n{index}.{ZONE}"), 30, RData::A(A([10, 0, 0, index].into())));
    }
    server
}

fn with_causes(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", with_causes(cause)))
}

/// RFC 8945 §5.3.1: at most 99 messages in a row without a signature, none that was changed, and the last one signed.
#[tokio::test]
async fn a_transfer_is_believed_only_when_signatures_cover_all_of_it() {
    let server = with_records().await;
    for (how, problem) in [
        (Transfer::SignedEach(1), None),
        (Transfer::SignedEach(7), None),
        (Transfer::SignedEach(100), None),
        (Transfer::SignedEach(101), Some("100 messages in a row without a signature")),
        (Transfer::OpenEnd(50), Some("whose end is not signed")),
        (Transfer::Forged, Some("signature is wrong")),
        (Transfer::OtherEnd, Some("ends with another SOA")),
    ] {
        server.world().transfer = how;
        let listed = server.provider("fed", &[]).list().await;
        match (listed, problem) {
            (Ok(listing), None) => {
                assert_eq!(listing.observed.iter().count(), usize::from(RECORDS) + 2, "{how:?}");
            }
            (Err(error), Some(problem)) => {
                assert!(matches!(error, ProviderError::Unavailable { .. }), "{how:?}: {error:?}");
                assert!(with_causes(&error).contains(problem), "{how:?}: {}", with_causes(&error));
            }
            (other, _) => panic!("{how:?}: {other:?}"),
        }
    }
}

/// A transfer without an end costs no more than the records that a zone may have.
#[tokio::test]
async fn a_transfer_without_an_end_is_cut_at_max_records() {
    let server = with_records().await;
    server.world().transfer = Transfer::Endless;
    let error = server.provider("fed", &[("max-records", "1000")]).list().await.unwrap_err();
    let ProviderError::Denied { problem, remedy, .. } = &error else { panic!("{error:?}") };
    assert!(problem.contains("more than 1000 records") && remedy.contains("max-records"), "{error}");
    server.world().transfer = Transfer::SignedEach(1);
    assert!(server.provider("fed", &[("max-records", "253")]).list().await.is_ok());
    assert!(server.provider("fed", &[("max-records", "252")]).list().await.is_err());
}

/// A transfer that stalls ends when nothing came for ten seconds.
#[tokio::test]
async fn a_stalled_transfer_ends() {
    let server = with_records().await;
    server.world().transfer = Transfer::Stalled;
    let begin = Instant::now();
    let error = server.provider("fed", &[]).list().await.unwrap_err();
    assert!(with_causes(&error).contains("nothing came for 10s"), "{}", with_causes(&error));
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// Clocks that are 100 s apart are no fault as long as signatures are taken; check returns a word of advice. Beyond 300 s
/// the server says by how much.
#[tokio::test]
async fn a_clock_that_is_off_is_a_fault_only_where_nothing_works() {
    let server = with_records().await;
    for (ahead, advice) in [(0, false), (100, true), (-100, true)] {
        server.world().ahead = ahead;
        let findings = server.provider("fed", &[]).check(&ZONE.parse().unwrap()).await;
        assert!(findings.iter().all(|finding| finding.good), "{ahead}: {findings:?}");
        let clock = findings.iter().find(|finding| finding.text.contains("clock")).unwrap();
        assert_eq!(clock.text.contains("set both by NTP"), advice, "{}", clock.text);
    }
    for (ahead, told) in [(400, " s ahead of ours (BADTIME)"), (-400, " s behind ours (BADTIME)")] {
        server.world().ahead = ahead;
        let error = server.provider("fed", &[]).list().await.unwrap_err();
        assert!(matches!(error, ProviderError::Denied { .. }) && error.to_string().contains(told), "{error}");
        let findings = server.provider("fed", &[]).check(&ZONE.parse().unwrap()).await;
        assert!(findings.len() == 1 && findings[0].text.contains(told), "{findings:?}");
    }
}
