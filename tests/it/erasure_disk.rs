//! After an erasure: somebody who holds ledger, store and keyring of an exchange that `serve` ran looks for the erased.
//!
//! The thief knows the formats and has all the time there is: it unwraps every key that any epoch of the keyring wraps,
//! opens whatever these keys open, and tries every valid Scottish Candidate Number and CHI number against what it got.
//! Beside it the files are searched as bytes for the erased keys and for what identified the erased client.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "helpers of tests may end a test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use concordat::{
    keyring::{KeyOwner, Keyring},
    ledger::{
        Entry, Ledger,
        disk::OsDisk,
        segment::{Options, Segment},
    },
    machine::{State, apply, command::Parsed},
    model::{
        digest::Digest,
        id::{AgencyId, ClientId, KeyId, LedgerId, RecordId},
        identifier::{chi::Chi, scn::Scn},
        order::Position,
    },
    pb::ledger::v1::{self as pb, PartKind, SealedPart, command::Kind},
    seal::{AssociatedData, DataKey, Opens},
};
use futures::StreamExt;
use prost::Message;
use serde_json::Value;

use crate::cli_exchange::{COUNCIL, Exchange, PARTIES, SDS};

/// Whom the test erases: the template's leaver.
const SCN: &str = "051234561";
const LOCAL_ID: &str = "IC-2027-0001";
/// Who stays.
const OTHER_SCN: &str = "123456785";

/// A body that is opened without a decision: what only a thief does.
struct Seized(RecordId);

impl Opens for Seized {
    fn record(&self) -> RecordId {
        self.0
    }
}

/// What a thief gets out of the files.
#[derive(Default)]
pub(crate) struct Loot {
    keys: BTreeMap<KeyId, DataKey>,
    /// Whose data each key seals that was ever opened, lost or not.
    owners: BTreeMap<KeyId, (Option<ClientId>, Option<AgencyId>)>,
    identifiers: Vec<(ClientId, pb::Identifiers)>,
    /// Every number of nine or ten digits in anything that could be opened.
    numbers: BTreeSet<String>,
    bodies: usize,
}

impl Loot {
    /// Whether anything is known of somebody with this number.
    fn client(&self, scn: &str) -> Option<ClientId> {
        self.identifiers.iter().find(|(_, told)| told.scn == scn).map(|(client, _)| *client)
    }

    fn keys_of(&self, client: ClientId) -> Vec<KeyId> {
        let owners = self.owners.iter();
        owners.filter(|(_, (of, _))| *of == Some(client)).map(|(key, _)| *key).collect()
    }

    fn read(&mut self, plain: &[u8]) {
        let mut run = String::new();
        for byte in plain.iter().chain([&0]) {
            if byte.is_ascii_digit() {
                run.push(char::from(*byte));
                continue;
            }
            let digits = std::mem::take(&mut run);
            for length in [9, 10] {
                let windows = digits.as_bytes().windows(length);
                self.numbers.extend(windows.map(|w| String::from_utf8(w.to_vec()).unwrap()));
            }
        }
    }
}

/// Takes everything that ledger and keyring together give.
pub(crate) fn steal(ledger: &Path, keyring: &Path) -> Loot {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let copy = tempfile::tempdir().unwrap();
        copy_all(ledger, copy.path());
        let disk = OsDisk::existing(copy.path()).unwrap();
        let segment = Segment::open(disk, Options::default()).unwrap();
        let count = usize::try_from(segment.head().0.count()).unwrap();
        let entries: Vec<Entry> = Ledger::entries(&segment, Position::FIRST)
            .take(count)
            .map(|entry| entry.unwrap())
            .collect()
            .await;
        let positions: Vec<_> = entries.iter().map(|entry| entry.position).collect();
        let sealed = segment.sealed(&positions).await.unwrap();
        let parts: Vec<Vec<SealedPart>> = sealed
            .into_iter()
            .map(|sealed| {
                sealed.map_or_else(Vec::new, |sealed| {
                    pb::Attachment::decode(sealed.bytes).unwrap().parts
                })
            })
            .collect();
        open_all(&entries, &parts, keyring)
    })
}

fn open_all(entries: &[Entry], parts: &[Vec<SealedPart>], keyring: &Path) -> Loot {
    let mut state = State::empty();
    let mut commands = Vec::new();
    for entry in entries {
        let parsed = Parsed::from_bytes(&entry.command);
        let command = match &parsed {
            Parsed::Command(command) => Some(&**command),
            Parsed::Malformed(_) | Parsed::Later(_) => None,
        };
        let _applied = apply(&mut state, entry.position, entry.admitted_at, command);
        commands.push(pb::Command::decode(entry.command.clone()).unwrap());
    }
    let ledger = state.ledger();
    let keyring = Keyring::open(keyring, ledger).unwrap();
    let mut loot = Loot::default();
    for (command, parts) in commands.iter().zip(parts) {
        let named: Vec<bytes::Bytes> = match &command.kind {
            Some(Kind::OpenKey(open)) => {
                let id = KeyId::from_slice(&open.key).unwrap();
                let client = ClientId::from_slice(&open.client).ok();
                let _old = loot.owners.insert(id, (client, open.agency.parse().ok()));
                vec![open.key.clone()]
            }
            Some(Kind::RewrapKeys(rewrap)) => rewrap.keys.clone(),
            _ => Vec::new(),
        };
        for (key, part) in named.iter().zip(parts) {
            let id = KeyId::from_slice(key).unwrap();
            let Some((client, agency)) = loot.owners.get(&id) else { continue };
            for class in [1, 2, 3, 4] {
                let disposal_class = pb::DisposalClass::try_from(class).unwrap();
                let (client, agency) = (client.as_ref(), agency.as_ref());
                let owner = KeyOwner { client, agency, disposal_class };
                if let Ok(key) = keyring.unwrap(id, &owner, part) {
                    loot.keys.insert(id, key);
                    break;
                }
            }
        }
    }
    open_identifiers(&mut loot, ledger, &commands, parts);
    open_bodies(&mut loot, &state, parts);
    loot
}

fn part(parts: &[SealedPart], kind: PartKind) -> Option<&SealedPart> {
    parts.iter().find(|part| part.kind() == kind)
}

fn open_identifiers(
    loot: &mut Loot,
    ledger: LedgerId,
    commands: &[pb::Command],
    parts: &[Vec<SealedPart>],
) {
    for (command, parts) in commands.iter().zip(parts) {
        let Some(Kind::AddClient(add)) = &command.kind else { continue };
        let Some(part) = part(parts, PartKind::Identifiers) else { continue };
        let who = command.actor.as_ref().and_then(|actor| actor.who.as_ref());
        let Some(pb::actor::Who::Agency(agency)) = who else { continue };
        let agency: AgencyId = agency.parse().unwrap();
        let client = ClientId::from_slice(&add.client).unwrap();
        let Some(key) = loot.keys.get(&KeyId::from_slice(&part.key).unwrap()) else { continue };
        let context = AssociatedData {
            ledger: &ledger,
            subject: client.as_bytes(),
            client: Some(&client),
            agency: Some(&agency),
            data_type: "",
        };
        let plain = key.open(&context, part).unwrap().as_bytes().to_vec();
        loot.read(&plain);
        loot.identifiers.push((client, pb::Identifiers::decode(plain.as_slice()).unwrap()));
    }
}

fn open_bodies(loot: &mut Loot, state: &State, parts: &[Vec<SealedPart>]) {
    let ledger = state.ledger();
    for (id, row) in state.tables().records.iter() {
        let at = usize::try_from(row.position.number()).unwrap();
        let Some(part) = part(&parts[at], PartKind::Record) else { continue };
        let Some(key) = loot.keys.get(&row.key) else { continue };
        let publisher = state.agency(row.publisher).unwrap().id.clone();
        let record_type = state.record_type(row.record_type).unwrap().name.to_string();
        let context = AssociatedData {
            ledger: &ledger,
            subject: id.as_bytes(),
            client: Some(&row.client),
            agency: Some(&publisher),
            data_type: &record_type,
        };
        let plain = key.open_record(&Seized(*id), &context, part).unwrap().as_bytes().to_vec();
        loot.read(&plain);
        loot.bodies += 1;
    }
}

/// Every valid number that the loot knows: what trying each of them against it would find.
pub(crate) fn enumerate(loot: &Loot) -> Vec<String> {
    let valid = |number: &&String| match number.len() {
        9 => number.parse::<Scn>().is_ok(),
        _ => number.parse::<Chi>().is_ok(),
    };
    loot.numbers.iter().filter(valid).cloned().collect()
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            let _bytes = fs::copy(&path, &target).unwrap();
        }
    }
}

/// Every file below a directory.
fn image(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(image(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            // What follows the last byte of a preallocated file is zeros.
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            files.push((path, bytes[..end].to_vec()));
        }
    }
    files
}

fn found(image: &[(PathBuf, Vec<u8>)], needle: &[u8]) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    image.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path.clone()).collect()
}

/// The secrets of the epochs in a keyring: its layout is public.
fn epoch_secrets(keyring: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(keyring).unwrap();
    let count = u32::from_be_bytes(bytes[28..32].try_into().unwrap());
    let epochs = bytes[32..].chunks(56).take(usize::try_from(count).unwrap());
    epochs.map(|epoch| epoch[24..56].to_vec()).collect()
}

/// Everything that names the erased client, in the forms in which a careless program would keep it.
fn traces() -> Vec<Vec<u8>> {
    let texts = [SCN, LOCAL_ID];
    let mut traces: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    for text in texts {
        let digits = b"0123456789abcdef";
        let pair = |byte: u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
        traces.push(text.bytes().flat_map(pair).collect());
        traces.push(Digest::of_concatenation(&[text.as_bytes()]).as_bytes().to_vec());
    }
    let parts: [&[u8]; 2] = [LOCAL_ID.as_bytes(), SCN.as_bytes()];
    let told = Digest::of_parts("concordat.identifiers.v1", &parts);
    traces.push(told.as_bytes()[..16].to_vec());
    traces
}

fn publish(exchange: &Exchange, change: impl FnOnce(&mut Value)) -> (String, String) {
    let mut form = exchange.ok(COUNCIL, &["record", "template", "leaver-form"]).json();
    change(&mut form);
    fs::write(exchange.file("form.json"), form.to_string()).unwrap();
    let published = exchange.ok(COUNCIL, &["record", "publish", "-f", "form.json"]);
    (published.text("/record"), published.text("/client"))
}

fn set(form: &mut Value, pointer: &str, text: &str) {
    *form.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer} in the form")) = text.into();
}

/// A case about a client, with words that the council noted of it.
fn noted(exchange: &Exchange, client: &str) -> String {
    let case = ["case", "open", "access", "--client", client, "--evidence", "file 7"];
    let case = exchange.ok(COUNCIL, &case).text("/name");
    let written = words(exchange, &case);
    assert_eq!(written.pointer("/0/evidence/reference"), Some(&"file 7".into()));
    case
}

fn words(exchange: &Exchange, about: &str) -> Value {
    exchange.ok(COUNCIL, &["words", about, "--reason", "subject-request"]).json()
}

/// Brings the attachments of an older copy of the first segment back into the present one.
fn bring_back(old: &Path, present: &Path) {
    let first = |directory: &Path| {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "segment"))
            .collect();
        names.sort();
        names.first().unwrap_or_else(|| panic!("no segment in {}", directory.display())).clone()
    };
    let (old, present) = (first(old), first(present));
    let (old, mut bytes) = (fs::read(&old).unwrap(), fs::read(&present).unwrap());
    let end = old.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[..end].copy_from_slice(&old[..end]);
    fs::write(&present, bytes).unwrap();
}

#[test]
fn nobody_finds_the_erased_in_ledger_store_and_keyring() {
    let mut exchange = Exchange::start(&PARTIES);
    exchange.agree(&PARTIES.map(|(agency, _)| agency));
    let (erased, client) = publish(&exchange, |_| ());
    let (kept, _) = publish(&exchange, |form| {
        set(form, "/identity/scn", OTHER_SCN);
        set(form, "/identity/source_local_id", "IC-2027-0002");
    });
    exchange.ok(SDS, &["record", "watch", "--limit", "2", "-o", "ndjson"]);
    let case = noted(&exchange, &client);
    let data = exchange.file("data");
    let (ledger, keyring) = (data.join("ledger"), data.join("keyring"));

    // Before: the thief finds both, and the keys of the one to be erased.
    assert_eq!(exchange.terminate(), Some(0));
    let before = exchange.file("before");
    copy_all(&data, &before);
    let had = steal(&before.join("ledger"), &before.join("keyring"));
    assert_eq!((had.bodies, enumerate(&had)), (2, vec![SCN.to_owned(), OTHER_SCN.to_owned()]));
    let lost = had.keys_of(had.client(SCN).unwrap());
    assert_eq!(lost.len(), 3, "for the record, for the identifiers and for words about the client");
    let epochs = epoch_secrets(&before.join("keyring"));
    assert_eq!(epochs.len(), 1);
    assert_eq!(
        found(&image(&data), &epochs[0]),
        std::slice::from_ref(&keyring),
        "the search finds what is there"
    );
    exchange.serve_again();

    let erase = ["client", "erase", &client, "--ground", "objection", "--wait"];
    let done = exchange.ok(COUNCIL, &erase);
    assert_eq!(done.text("/state"), "complete", "{}", done.stdout);
    let certificate = exchange.ok(COUNCIL, &["client", "erasure", &done.text("/name")]);
    fs::write(exchange.file("certificate.txt"), certificate.text("/certificate")).unwrap();
    let key = exchange.ok(COUNCIL, &["ledger", "show"]).text("/checkpoint_key");
    exchange.ok(COUNCIL, &["recall", "verify", "certificate.txt", "--key", &key]);
    assert!(certificate.text("/certificate").contains("keys 3 destroyed"));
    for caller in [COUNCIL, SDS] {
        let gone = exchange.call(caller, &["record", "get", &erased]);
        assert_eq!(gone.code, 3, "{}", gone.stderr);
    }
    assert_eq!(exchange.ok(SDS, &["recall", "ls"]).text("/0/reason"), "erased");
    exchange.ok(COUNCIL, &["record", "get", &kept]);
    assert_eq!(words(&exchange, &case), Value::Array(Vec::new()), "nor what was noted");

    // After, with the process running and with it gone.
    for running in [true, false] {
        if !running {
            assert_eq!(exchange.terminate(), Some(0));
        }
        let image = image(&data);
        assert!(found(&image, &epochs[0]).is_empty(), "the old epoch is destroyed");
        for id in &lost {
            let key = had.keys.get(id).unwrap();
            assert!(!image.iter().any(|(_, bytes)| key.stands_in(bytes)), "a data key is there");
        }
        for trace in traces() {
            assert_eq!(found(&image, &trace), Vec::<PathBuf>::new());
        }
    }
    let has = steal(&ledger, &keyring);
    assert_eq!(enumerate(&has), [OTHER_SCN], "what was not erased is still there for its keys");
    assert_eq!((has.bodies, has.client(SCN)), (1, None));
    assert!(lost.iter().all(|id| !has.keys.contains_key(id)));

    // Each half of the work is needed and does it alone: an old ledger gives nothing without its epoch, and an old
    // keyring nothing without the attachments.
    assert!(!enumerate(&steal(&before.join("ledger"), &keyring)).contains(&SCN.to_owned()));
    assert!(!enumerate(&steal(&ledger, &before.join("keyring"))).contains(&SCN.to_owned()));

    // An old copy of the files brings the bytes back; the next start takes them away again before it serves.
    bring_back(&before.join("ledger"), &ledger);
    let back = steal(&ledger, &before.join("keyring"));
    assert!(enumerate(&back).contains(&SCN.to_owned()), "they are back");
    exchange.serve_again();
    assert_eq!(exchange.terminate(), Some(0));
    assert!(!enumerate(&steal(&ledger, &before.join("keyring"))).contains(&SCN.to_owned()));
    exchange.serve_again();
    exchange.ok(COUNCIL, &["record", "get", &kept]);
    exchange.ok("operator", &["ledger", "verify", "data", "--decide"]);
}

#[test]
fn a_missing_attachment_that_no_erasure_names_is_told() {
    let mut exchange = Exchange::start(&PARTIES);
    exchange.agree(&PARTIES.map(|(agency, _)| agency));
    publish(&exchange, |_| ());
    assert_eq!(exchange.terminate(), Some(0));
    let ledger = exchange.file("data").join("ledger");
    {
        let disk = OsDisk::existing(&ledger).unwrap();
        let segment = Segment::open(disk, Options::default()).unwrap();
        let last = segment.head().0.end().number();
        let all: Vec<_> = (0..last).map(Position::new).collect();
        segment.erase_blocking(&all).unwrap();
    }
    exchange.ok("operator", &["ledger", "verify", "data"]);
    let told = exchange.call("operator", &["ledger", "verify", "data", "--decide"]);
    assert_ne!(told.code, 0);
    assert!(told.stderr.contains("is missing"), "{}", told.stderr);
}
