//! What a keyring keeps, refuses and survives, down to single bits and single steps.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::{
    keyring::{KeyOwner, Keyring},
    model::id::KeyId,
    pb::ledger::v1::{DisposalClass, SealedPart},
    seal::{DataKey, Nonce, SealFault},
};

const LEDGER: LedgerId = LedgerId::from_bytes([1; 16]);
const OWNER: KeyOwner<'_> =
    KeyOwner { client: None, agency: None, disposal_class: DisposalClass::Exchange };

fn epoch(byte: u8) -> NewEpoch {
    NewEpoch {
        id: EpochId::from_bytes([byte; 16]),
        secret: Secret::from_bytes([byte; 32]),
        opened_at: UnixMillis::new(u64::from(byte)),
    }
}

fn id(byte: u8) -> EpochId {
    EpochId::from_bytes([byte; 16])
}

fn data_key(byte: u8) -> DataKey {
    DataKey::new(KeyId::from_bytes([byte; 16]), Secret::from_bytes([byte; 32])).unwrap()
}

fn wrap(keyring: &Keyring, key: &DataKey) -> SealedPart {
    keyring.wrap(key, &OWNER, Nonce::from_bytes([5; 12])).unwrap()
}

/// The same key seals the same way.
fn unwraps(keyring: &Keyring, key: &DataKey, part: &SealedPart) -> Result<bool, KeyringFault> {
    let unwrapped = keyring.unwrap(key.id(), &OWNER, part)?;
    Ok(unwrapped.content_mac(b"x") == key.content_mac(b"x"))
}

fn bytes_of(epochs: &[u8], destroyed: &[u8]) -> Zeroizing<Vec<u8>> {
    let epochs: Vec<Epoch> = epochs.iter().map(|e| Epoch::new(epoch(*e)).unwrap()).collect();
    let destroyed: Vec<EpochId> = destroyed.iter().map(|e| id(*e)).collect();
    encode(LEDGER, &epochs.iter().collect::<Vec<_>>(), &destroyed)
}

#[test]
fn keys_unwrap_under_their_epoch_until_it_is_destroyed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring");
    let mut keyring = Keyring::create(&path, LEDGER, epoch(1)).unwrap();
    let key = data_key(7);
    let old = wrap(&keyring, &key);
    assert_eq!(keyring.destroy_epoch(id(1)), Err(KeyringFault::CurrentEpoch(id(1))));
    assert_eq!(keyring.open_epoch(epoch(2)), Ok(id(2)));
    assert!(keyring.open_epoch(epoch(1)).is_err());

    let mut keyring = Keyring::open(&path, LEDGER).unwrap();
    assert_eq!(keyring.current_epoch(), id(2));
    assert_eq!(
        keyring.epochs().map(|(id, at)| (id, at.millis())).collect::<Vec<_>>(),
        [(id(1), 1), (id(2), 2)]
    );
    assert_eq!(unwraps(&keyring, &key, &old), Ok(true));
    let new = wrap(&keyring, &keyring.unwrap(key.id(), &OWNER, &old).unwrap());
    assert_eq!(keyring.destroy_epoch(id(1)), Ok(()));
    assert_eq!(keyring.destroy_epoch(id(1)), Ok(()));
    assert_eq!(keyring.destroy_epoch(id(9)), Err(KeyringFault::UnknownEpoch(id(9))));

    for keyring in [keyring, Keyring::open(&path, LEDGER).unwrap()] {
        assert_eq!(unwraps(&keyring, &key, &old), Err(KeyringFault::DestroyedEpoch(id(1))));
        assert_eq!(unwraps(&keyring, &key, &new), Ok(true));
    }
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(32).any(|window| window == [1; 32]), "the destroyed key is in the file");
}

#[test]
fn a_wrapped_key_is_bound_to_its_name_owner_and_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let keyring = Keyring::create(&directory.path().join("a"), LEDGER, epoch(1)).unwrap();
    let key = data_key(7);
    let part = wrap(&keyring, &key);
    let not_authentic = Some(KeyringFault::Seal(SealFault::NotAuthentic));
    let other = KeyId::from_bytes([8; 16]);
    assert_eq!(keyring.unwrap(other, &OWNER, &part).err(), not_authentic);
    let agency = "west-college".parse().unwrap();
    let client = crate::model::id::ClientId::from_bytes([1; 16]);
    for owner in [
        KeyOwner { agency: Some(&agency), ..OWNER },
        KeyOwner { client: Some(&client), ..OWNER },
        KeyOwner { disposal_class: DisposalClass::Record, ..OWNER },
    ] {
        assert_eq!(keyring.unwrap(key.id(), &owner, &part).err(), not_authentic);
    }
    let elsewhere = LedgerId::from_bytes([2; 16]);
    let foreign = Keyring::create(&directory.path().join("b"), elsewhere, epoch(1)).unwrap();
    assert_eq!(foreign.unwrap(key.id(), &OWNER, &part).err(), not_authentic);
    let stranger = Keyring::create(&directory.path().join("c"), LEDGER, epoch(2)).unwrap();
    let unknown = Some(KeyringFault::UnknownEpoch(id(1)));
    assert_eq!(stranger.unwrap(key.id(), &OWNER, &part).err(), unknown);
}

#[test]
fn a_crash_after_any_step_leaves_the_old_or_the_new_keyring() {
    for steps in 0..=Replacement::STEPS.len() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring");
        drop(Keyring::create(&path, LEDGER, epoch(1)).unwrap());
        let bytes = bytes_of(&[1, 2], &[]);
        let mut replacement =
            Replacement { path: &path, beside: beside(&path), bytes: &bytes, old: None };
        for (_, step) in &Replacement::STEPS[..steps] {
            step(&mut replacement).unwrap();
        }
        drop(replacement);
        let mut keyring = Keyring::open(&path, LEDGER).unwrap();
        let renamed = 3 <= steps;
        assert_eq!(keyring.current_epoch(), if renamed { id(2) } else { id(1) }, "{steps} steps");
        assert!(!beside(&path).exists(), "{steps} steps");
        if !renamed {
            assert_eq!(keyring.open_epoch(epoch(2)), Ok(id(2)), "{steps} steps");
        }
        assert_eq!(Keyring::open(&path, LEDGER).unwrap().current_epoch(), id(2));
    }
}

#[test]
fn a_half_written_file_beside_the_keyring_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring");
    let bytes = bytes_of(&[1, 2], &[]);
    for length in 0..=bytes.len() {
        fs::write(beside(&path), &bytes[..length]).unwrap();
        assert_eq!(
            Keyring::open(&path, LEDGER).err(),
            Some(KeyringFault::Missing(path.clone())),
            "without a keyring, what was never put in place is none"
        );
        drop(Keyring::create(&path, LEDGER, epoch(1)).unwrap());
        fs::write(beside(&path), &bytes[..length]).unwrap();
        assert_eq!(Keyring::open(&path, LEDGER).unwrap().current_epoch(), id(1), "{length} bytes");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn every_cut_and_every_changed_bit_is_noticed() {
    let good = bytes_of(&[1, 2, 3], &[9]);
    assert!(decode(&good).is_ok());
    for length in 0..good.len() {
        assert!(decode(&good[..length]).is_err(), "{length} bytes");
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bad).is_err(), "bit {bit}");
    }
    assert!(decode(&[&good, [0].as_slice()].concat()).is_err());
    assert!(decode(&bytes_of(&[], &[])).is_err(), "a keyring without an epoch");
}

#[test]
fn a_keyring_that_others_can_read_is_refused_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring");
    drop(Keyring::create(&path, LEDGER, epoch(1)).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    for mode in [0o640, 0o604, 0o610, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = Keyring::open(&path, LEDGER).unwrap_err();
        assert_eq!(refused, KeyringFault::Exposed { path: path.clone(), mode });
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(Keyring::open(&path, LEDGER).is_ok());
}

#[test]
fn a_keyring_of_another_ledger_or_a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring");
    drop(Keyring::create(&path, LEDGER, epoch(1)).unwrap());
    assert_eq!(
        Keyring::create(&path, LEDGER, epoch(2)).err(),
        Some(KeyringFault::Exists(path.clone()))
    );
    let expected = LedgerId::from_bytes([2; 16]);
    assert_eq!(
        Keyring::open(&path, expected).err(),
        Some(KeyringFault::ForeignLedger { expected, found: LEDGER })
    );
    let mut bytes = fs::read(&path).unwrap();
    bytes[11] = 2;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(Keyring::open(&path, LEDGER).err(), Some(KeyringFault::NewerFormat { found: 2 }));
    let not_a_file = directory.path().join("directory");
    fs::create_dir(&not_a_file).unwrap();
    assert!(matches!(Keyring::open(&not_a_file, LEDGER), Err(KeyringFault::Damaged(_))));
}

#[test]
fn the_old_file_is_overwritten_unless_somebody_else_kept_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyring");
    let mut keyring = Keyring::create(&path, LEDGER, epoch(1)).unwrap();
    let before = fs::read(&path).unwrap();
    let mut held = File::open(&path).unwrap();
    keyring.open_epoch(epoch(2)).unwrap();
    let mut after = Vec::new();
    held.read_to_end(&mut after).unwrap();
    assert_eq!(after, vec![0; before.len()]);

    let backup = directory.path().join("backup");
    fs::hard_link(&path, &backup).unwrap();
    let before = fs::read(&path).unwrap();
    keyring.open_epoch(epoch(3)).unwrap();
    assert_eq!(fs::read(&backup).unwrap(), before);
}
