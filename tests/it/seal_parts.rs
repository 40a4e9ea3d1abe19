//! Sealed parts as the exchange uses them: what opens them, and everything that does not.

use concordat::{
    model::id::{AgencyId, ClientId, KeyId, LedgerId, RecordId},
    pb::ledger::v1::{PartKind, SealedPart},
    seal::{AssociatedData, DataKey, Nonce, Opens, SealFault, Secret, padding},
};
use proptest::prelude::*;

/// A decision to open one record.
struct Decided(RecordId);

impl Opens for Decided {
    fn record(&self) -> RecordId {
        self.0
    }
}

const LEDGER: LedgerId = LedgerId::from_bytes([1; 16]);
const RECORD: RecordId = RecordId::from_bytes([2; 16]);
const CLIENT: ClientId = ClientId::from_bytes([3; 16]);

fn key(byte: u8) -> DataKey {
    DataKey::new(KeyId::from_bytes([byte; 16]), Secret::from_bytes([byte; 32])).unwrap()
}

fn nonce(byte: u8) -> Nonce {
    Nonce::from_bytes([byte; 12])
}

fn agency(id: &str) -> AgencyId {
    id.parse().unwrap()
}

fn context(publisher: &AgencyId) -> AssociatedData<'_> {
    AssociatedData {
        ledger: &LEDGER,
        subject: RECORD.as_bytes(),
        client: Some(&CLIENT),
        agency: Some(publisher),
        data_type: "leaver-form",
    }
}

fn sealed(publisher: &AgencyId, kind: PartKind, plaintext: &[u8]) -> SealedPart {
    key(7).seal(nonce(9), kind, &context(publisher), plaintext).unwrap()
}

#[test]
fn a_part_opens_under_its_own_key_and_context_only() {
    let (council, college) = (agency("inverclyde-council"), agency("west-college"));
    let part = sealed(&council, PartKind::Identifiers, b"invented");
    assert_eq!(part.ciphertext.len(), 256 + 16);
    let good = context(&council);
    assert_eq!(key(7).open(&good, &part).unwrap().as_bytes(), b"invented");

    let (other_ledger, other_client) =
        (LedgerId::from_bytes([9; 16]), ClientId::from_bytes([9; 16]));
    for bad in [
        AssociatedData { ledger: &other_ledger, ..good },
        AssociatedData { subject: &[9; 16], ..good },
        AssociatedData { subject: &[], ..good },
        AssociatedData { client: Some(&other_client), ..good },
        AssociatedData { client: None, ..good },
        AssociatedData { agency: Some(&college), ..good },
        AssociatedData { agency: None, ..good },
        AssociatedData { data_type: "child-record", ..good },
    ] {
        assert_eq!(key(7).open(&bad, &part).unwrap_err(), SealFault::NotAuthentic, "{bad:?}");
    }
    assert_eq!(key(8).open(&good, &part).unwrap_err(), SealFault::WrongKey);
    let same_name = DataKey::new(key(7).id(), Secret::from_bytes([8; 32])).unwrap();
    assert_eq!(same_name.open(&good, &part).unwrap_err(), SealFault::NotAuthentic);
    let as_actor = SealedPart { kind: PartKind::Actor.into(), ..part };
    assert_eq!(key(7).open(&good, &as_actor).unwrap_err(), SealFault::NotAuthentic);
}

#[test]
fn every_changed_bit_and_every_cut_is_noticed() {
    let council = agency("inverclyde-council");
    let part = sealed(&council, PartKind::Evidence, b"invented");
    let open = |ciphertext: Vec<u8>, nonce: Vec<u8>| {
        let part =
            SealedPart { ciphertext: ciphertext.into(), nonce: nonce.into(), ..part.clone() };
        key(7).open(&context(&council), &part).map(|plaintext| plaintext.as_bytes().to_vec())
    };
    let (ciphertext, nonce) = (part.ciphertext.to_vec(), part.nonce.to_vec());
    assert_eq!(open(ciphertext.clone(), nonce.clone()).unwrap(), b"invented");
    for bit in 0..ciphertext.len() * 8 {
        let mut bad = ciphertext.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(bad, nonce.clone()), Err(SealFault::NotAuthentic), "bit {bit}");
    }
    for bit in 0..nonce.len() * 8 {
        let mut bad = nonce.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(ciphertext.clone(), bad), Err(SealFault::NotAuthentic), "nonce bit {bit}");
    }
    for length in 0..ciphertext.len() {
        let cut = ciphertext[..length].to_vec();
        assert_eq!(open(cut, nonce.clone()), Err(SealFault::NotAuthentic), "{length} bytes");
    }
    assert_eq!(open(ciphertext, nonce[..11].to_vec()), Err(SealFault::NotAuthentic));
}

#[test]
fn a_record_opens_only_with_a_decision_about_it() {
    let council = agency("inverclyde-council");
    let (context, part) = (context(&council), sealed(&council, PartKind::Record, b"a body"));
    assert_eq!(key(7).open(&context, &part).unwrap_err(), SealFault::NeedsDecision);
    let elsewhere = Decided(RecordId::from_bytes([9; 16]));
    let refused = key(7).open_record(&elsewhere, &context, &part).unwrap_err();
    assert_eq!(refused, SealFault::NeedsDecision);
    let opened = key(7).open_record(&Decided(RECORD), &context, &part).unwrap();
    assert_eq!(opened.as_bytes(), b"a body");

    let evidence = sealed(&council, PartKind::Evidence, b"a note");
    let refused = key(7).open_record(&Decided(RECORD), &context, &evidence).unwrap_err();
    assert_eq!(refused, SealFault::WrongKind);
}

#[test]
fn neither_data_keys_nor_parts_of_no_kind_are_sealed_here() {
    let council = agency("inverclyde-council");
    for kind in [PartKind::DataKey, PartKind::Unspecified] {
        let refused = key(7).seal(nonce(1), kind, &context(&council), b"");
        assert_eq!(refused.unwrap_err(), SealFault::WrongKind);
    }
}

#[test]
fn content_macs_tell_contents_and_keys_apart() {
    assert_eq!(key(7).content_mac(b"a"), key(7).content_mac(b"a"));
    assert_ne!(key(7).content_mac(b"a"), key(7).content_mac(b"b"));
    assert_ne!(key(7).content_mac(b"a"), key(8).content_mac(b"a"));
}

#[test]
fn a_sealed_part_of_today_opens_for_ever() {
    // INVARIANT (format): these bytes lie in ledgers; derivation, context, padding and cipher never change. The values
    // were computed apart from this code as well, from RFC 5869, RFC 2104 and SP 800-38D by another library.
    let council = agency("inverclyde-council");
    let part = sealed(&council, PartKind::Evidence, b"invented");
    let digest = concordat::model::digest::Digest::of_concatenation(&[&part.ciphertext]);
    expect_test::expect!["d9198326b198af192b1520a024801f8a8c7ef5a4d11e13ec60c342881d2f31f6"]
        .assert_eq(&digest.to_string());
    expect_test::expect!["52b5f2cc657112ff7e5d0301b29871a10d637e8a05f67a9285291f9cf2d82a1b"]
        .assert_eq(&key(7).content_mac(b"invented").to_string());
}

#[test]
fn nothing_secret_is_printed() {
    let council = agency("inverclyde-council");
    let part = sealed(&council, PartKind::Evidence, b"invented");
    let opened = key(7).open(&context(&council), &part).unwrap();
    let printed = format!("{:?} {:?} {opened:?}", key(7), Secret::from_bytes([7; 32]));
    assert_eq!(printed, format!("DataKey({}) Secret(..) Plaintext(..)", key(7).id()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens_and_shows_only_its_bucket(
        plaintext in proptest::collection::vec(any::<u8>(), 0..3_000),
    ) {
        let council = agency("inverclyde-council");
        let part = sealed(&council, PartKind::Actor, &plaintext);
        prop_assert_eq!(Some(part.ciphertext.len() - 16), padding::bucket(plaintext.len()));
        let opened = key(7).open(&context(&council), &part).unwrap();
        prop_assert_eq!(opened.as_bytes(), &plaintext);
    }
}
