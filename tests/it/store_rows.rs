//! The store gives back what was written, whatever happened to its files: or it begins anew and says why.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use concordat::{
    model::{digest::Digest, id::LedgerId, order::Position, row::Row},
    store::{
        Applied, Beginning, Doubt, NotTaken, Opened, Store, StoreFault, StoreWriter,
        VERIFY_ARGUMENT, Verifier,
    },
};
use proptest::prelude::*;

const LEDGER: LedgerId = LedgerId::from_bytes([1; 16]);
const SCHEMA: u32 = 3;
const IN_PROCESS: Verifier = Verifier::InProcess { deadline: Duration::from_secs(20) };

type Model = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

fn open(directory: &Path) -> Opened {
    Store::open(directory, LEDGER, SCHEMA, &IN_PROCESS).unwrap()
}

fn applied(number: u64) -> Applied {
    let digest = Digest::of_parts("test", &[&number.to_be_bytes()]);
    Applied { position: Position::new(number), state_digest: digest }
}

fn row(table: u8, key: &[u8], value: Option<&[u8]>) -> Row {
    Row { table, key: key.into(), value: value.map(Into::into), fresh: false }
}

fn rows(store: &Store) -> Model {
    let rows = store.rows().map(|row| {
        let Row { table, key, value, .. } = row.unwrap();
        ((table, key.into_vec()), value.unwrap().into_vec())
    });
    rows.collect()
}

fn apply(model: &mut Model, batch: &[Row]) {
    for Row { table, key, value, .. } in batch {
        let name = (*table, key.to_vec());
        match value {
            Some(value) => model.insert(name, value.to_vec()),
            None => model.remove(&name),
        };
    }
}

#[test]
fn a_row_wrongly_called_new_is_found_at_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).store;
    store.write(vec![row(1, b"key", Some(b"old"))], applied(0)).unwrap();
    let wrong = Row { fresh: true, ..row(1, b"key", Some(b"new")) };
    store.write(vec![wrong], applied(1)).unwrap();
    drop(store);
    assert!(matches!(open(directory.path()).beginning, Beginning::Anew { .. }));
}

#[test]
fn a_new_row_is_written_without_a_look_and_one_that_came_and_went_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).store;
    let new = |key, value| Row { fresh: true, ..row(1, key, value) };
    let batch =
        vec![new(b"stays", Some(b"here")), new(b"goes", Some(b"away")), row(1, b"goes", None)];
    store.write(batch, applied(0)).unwrap();
    drop(store);
    let opened = open(directory.path());
    assert_eq!(opened.beginning, Beginning::Kept);
    let expected = Model::from([((1, b"stays".to_vec()), b"here".to_vec())]);
    assert_eq!(rows(&opened.store), expected);
}

/// A store with a few hundred rows, some long, written in several batches; and what it holds after each of them.
fn filled(directory: &Path) -> Vec<(Option<Applied>, Model)> {
    let mut store = open(directory).store;
    let mut history = vec![(None, Model::new())];
    let mut model = Model::new();
    for number in 0..8_u8 {
        let mut batch = Vec::new();
        for key in 0..60_u8 {
            let length = if key % 20 == 7 { 9_000 } else { usize::from(key) * 3 };
            let value = vec![number ^ key; length];
            batch.push(row(key % 3, &[key, number % 3], (key % 7 != number).then_some(&value)));
        }
        apply(&mut model, &batch);
        store.write(batch, applied(number.into())).unwrap();
        history.push((Some(applied(number.into())), model.clone()));
        if number == 4 {
            // sled writes a snapshot when it opens, and believes it later.
            drop(store);
            store = open(directory).store;
        }
    }
    store.flush().unwrap();
    history
}

#[test]
fn a_new_store_is_empty_and_keeps_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { mut store, beginning } = open(directory.path());
    assert_eq!((beginning, store.applied()), (Beginning::Empty, None));
    assert_eq!(rows(&store), Model::new());
    store
        .write(vec![row(0, b"", Some(b"")), row(255, b"key", Some(b"value"))], applied(0))
        .unwrap();
    store.write(vec![row(0, b"", None), row(1, b"key", Some(b"other"))], applied(9)).unwrap();
    drop(store);

    let Opened { store, beginning } = open(directory.path());
    assert_eq!((beginning, store.applied()), (Beginning::Kept, Some(applied(9))));
    let expected =
        [((1, b"key".to_vec()), b"other".to_vec()), ((255, b"key".to_vec()), b"value".to_vec())];
    assert_eq!(rows(&store), Model::from(expected));
}

#[test]
fn of_several_changes_of_a_row_in_one_batch_the_last_counts() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).store;
    let long = vec![7; 20_000];
    let batch = vec![
        row(1, b"a", Some(&long)),
        row(1, b"a", Some(b"short")),
        row(1, b"b", Some(b"x")),
        row(1, b"b", None),
    ];
    store.write(batch, applied(0)).unwrap();
    assert_eq!(rows(&store), Model::from([((1, b"a".to_vec()), b"short".to_vec())]));
}

#[test]
fn long_values_come_back_and_leave_no_file_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).store;
    let mut model = Model::new();
    for (number, length) in [0, 4_096, 4_097, 65_536, 65_537, 600_000].into_iter().enumerate() {
        let value: Vec<u8> = (0..length).map(|at: u32| at.to_be_bytes()[3] ^ 0x5a).collect();
        for key in [b"one".as_slice(), b"two"] {
            // The same key grows and shrinks: no piece of a former value may stay.
            let batch =
                vec![row(1, key, Some(&value)), row(2, &[key, &[7]].concat(), Some(&value))];
            apply(&mut model, &batch);
            store.write(batch, applied(number.try_into().unwrap())).unwrap();
        }
    }
    let shrunk = vec![row(1, b"one", Some(b"short")), row(1, b"two", None)];
    apply(&mut model, &shrunk);
    store.write(shrunk, applied(99)).unwrap();
    drop(store);
    let Opened { store, beginning } = open(directory.path());
    assert_eq!(beginning, Beginning::Kept);
    assert_eq!(rows(&store), model);
    assert_eq!(fs::read_dir(directory.path().join("rows/blobs")).unwrap().count(), 0);
}

#[test]
fn a_removed_directory_is_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    fs::remove_dir_all(directory.path().join("rows")).unwrap();
    let Opened { store, beginning } = open(directory.path());
    assert_eq!((beginning, store.applied()), (Beginning::Empty, None));
    assert_eq!(rows(&store), Model::new());
}

#[test]
fn rows_of_another_ledger_or_schema_are_moved_aside() {
    let other = LedgerId::from_bytes([2; 16]);
    for (ledger, schema, doubt) in [
        (other, SCHEMA, Doubt::ForeignLedger { found: LEDGER }),
        (LEDGER, SCHEMA + 1, Doubt::OtherSchema { found: SCHEMA }),
    ] {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        let opened = Store::open(directory.path(), ledger, schema, &IN_PROCESS).unwrap();
        let aside = directory.path().join("aside");
        assert_eq!(opened.beginning, Beginning::Anew { doubt, aside: aside.clone() });
        assert_eq!((opened.store.applied(), rows(&opened.store)), (None, Model::new()));
        assert!(aside.join("db").exists());
        drop(opened);
        let opened = Store::open(directory.path(), ledger, schema, &IN_PROCESS).unwrap();
        assert_eq!(opened.beginning, Beginning::Kept);
    }
}

#[test]
fn only_one_may_have_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let second = Store::open(directory.path(), LEDGER, SCHEMA, &IN_PROCESS);
    assert_eq!(second.err(), Some(StoreFault::InUse));
    assert_eq!(first.beginning, Beginning::Empty);
}

#[test]
fn damaged_files_are_noticed_or_do_not_matter_but_never_serve_wrong_rows() {
    let pristine = tempfile::tempdir().unwrap();
    let history = filled(pristine.path());
    let mut counts = BTreeMap::new();
    for damage in damages(&pristine.path().join("rows")) {
        let directory = tempfile::tempdir().unwrap();
        copy(&pristine.path().join("rows"), &directory.path().join("rows"));
        damage.inflict(&directory.path().join("rows"));
        let Opened { store, beginning } = open(directory.path());
        let found = (store.applied(), rows(&store));
        let kind = match beginning {
            Beginning::Kept => "kept",
            Beginning::Empty => "empty",
            Beginning::Anew { .. } => "anew",
        };
        *counts.entry(kind).or_insert(0) += 1;
        // An earlier state, whole, is as good as any: the rest is replayed.
        assert!(history.contains(&found), "{damage:?} is {kind}: {:?}", store.applied());
        assert!(kind == "kept" || found.0.is_none(), "{damage:?}");
    }
    assert!(counts.get("anew").is_some_and(|count| 10 < *count), "{counts:?}");
}

#[test]
fn a_process_that_is_killed_leaves_an_earlier_state_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).store;
    let (mut model, mut history) = (Model::new(), vec![(None, Model::new())]);
    let mut latest = None;
    for number in 0..40_u64 {
        let batch: Vec<Row> = (0..200_u64)
            .map(|key| {
                let value = vec![number.to_be_bytes()[7]; 100 + usize::try_from(key).unwrap() * 8];
                row(1, &(key * 7 % (50 + number)).to_be_bytes(), Some(&value))
            })
            .collect();
        apply(&mut model, &batch);
        store.write(batch, applied(number)).unwrap();
        history.push((Some(applied(number)), model.clone()));
        // What another process would find now: nothing was flushed, the store was not closed.
        let killed = tempfile::tempdir().unwrap();
        copy(&directory.path().join("rows"), &killed.path().join("rows"));
        let found = open(killed.path());
        let state = (found.store.applied(), rows(&found.store));
        latest = state.0;
        assert!(history.contains(&state), "after {number}: {:?}", state.0);
        assert!(!matches!(found.beginning, Beginning::Anew { .. }), "{:?}", found.beginning);
    }
    assert_eq!(rows(&store), model);
    assert!(latest.is_some(), "most of it had left the process");
}

#[derive(Debug)]
struct Damage {
    file: String,
    at: usize,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    FlipBit(u8),
    ZeroPage,
    Truncate,
}

impl Damage {
    fn inflict(&self, rows: &Path) {
        let path = rows.join(&self.file);
        let mut bytes = fs::read(&path).unwrap();
        match self.how {
            How::FlipBit(bit) => {
                bytes.iter_mut().skip(self.at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            How::ZeroPage => bytes.iter_mut().skip(self.at).take(4_096).for_each(|byte| *byte = 0),
            How::Truncate => bytes.truncate(self.at),
        }
        fs::write(path, bytes).unwrap();
    }
}

/// Damages spread over every file of the database.
fn damages(rows: &Path) -> Vec<Damage> {
    let mut damages = Vec::new();
    for entry in fs::read_dir(rows).unwrap() {
        let entry = entry.unwrap();
        let bytes =
            if entry.path().is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
        // What lies behind the last written byte is not worth much time.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let rounds = if entry.file_name() == "db" { 24 } else { 6 };
        for round in 0..rounds.min(used) {
            let file = entry.file_name().into_string().unwrap();
            let at = used * round / rounds;
            let bit = u8::try_from(round % 8).unwrap();
            for how in [How::FlipBit(bit), How::ZeroPage, How::Truncate] {
                damages.push(Damage { file: file.clone(), at, how });
            }
        }
    }
    damages
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

#[test]
fn a_child_process_verifies_and_is_ended_when_it_hangs() {
    // Any program will do that succeeds, fails, talks or hangs when it is run with the argument and the directory.
    let tools = tempfile::tempdir().unwrap();
    let program = |name: &str, script: &str| {
        let path = tools.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        path
    };
    let check = format!("test \"$1\" = {VERIFY_ARGUMENT} && test -f \"$2/db\"");
    for (name, script, milliseconds, reason) in [
        ("sound", check.as_str(), 20_000, None),
        ("unsound", "echo a pair is damaged; exit 1", 20_000, Some("a pair is damaged")),
        ("silent", "exit 7", 20_000, Some("the verifier ended with exit status: 7")),
        ("hung", "exec tail -f /dev/null", 50, Some("it was not read within 0 s")),
    ] {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        let deadline = Duration::from_millis(milliseconds);
        let verifier = Verifier::ChildProcess { program: program(name, script), deadline };
        let opened = Store::open(directory.path(), LEDGER, SCHEMA, &verifier).unwrap();
        let expected = reason.map_or(Beginning::Kept, |reason| Beginning::Anew {
            doubt: Doubt::Unsound(reason.to_owned()),
            aside: directory.path().join("aside"),
        });
        assert_eq!(opened.beginning, expected, "{name}");
    }
}

#[test]
fn the_writer_writes_everything_in_order_and_gives_the_store_back() {
    let directory = tempfile::tempdir().unwrap();
    let writer = StoreWriter::spawn(open(directory.path()).store).unwrap();
    let mut model = Model::new();
    for number in 0..3_000_u64 {
        let key = (number % 50).to_be_bytes();
        let value = number.to_be_bytes();
        let batch =
            vec![row(1, &key, Some(&value)), row(2, &value, (number % 2 == 0).then_some(&key))];
        apply(&mut model, &batch);
        writer.submit(batch, applied(number)).unwrap();
    }
    let store = writer.flush_and_stop().unwrap();
    assert_eq!((store.applied(), rows(&store)), (Some(applied(2_999)), model.clone()));
    drop(store);
    let Opened { store, beginning } = open(directory.path());
    assert_eq!((beginning, rows(&store)), (Beginning::Kept, model));
}

#[test]
fn a_fault_of_the_store_reaches_whoever_submits() {
    let directory = tempfile::tempdir().unwrap();
    let writer = StoreWriter::spawn(open(directory.path()).store).unwrap();
    let good = vec![row(1, b"a", Some(b"b"))];
    writer.submit(good.clone(), applied(0)).unwrap();
    writer.submit(vec![row(1, &[0; Row::KEY_BYTES_MAX + 1], None)], applied(1)).unwrap();
    let fault = loop {
        match writer.try_submit(good.clone(), applied(2)) {
            Ok(()) => {}
            Err(NotTaken::Full(rows)) => assert_eq!(rows, good),
            Err(NotTaken::Failed(fault)) => break fault,
        }
    };
    assert_eq!(fault, StoreFault::TooLong);
    assert_eq!(writer.flush_and_stop().err(), Some(StoreFault::TooLong));
    // What was written before it is whole.
    let Opened { store, beginning } = open(directory.path());
    assert_eq!(beginning, Beginning::Kept);
    assert!([None, Some(applied(0))].contains(&store.applied()));
}

/// Table, key, and what the value repeats how often.
type Change = (u8, Vec<u8>, Option<(u8, usize)>);

fn batches() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let key = proptest::collection::vec(0..3_u8, 0..4);
    let length = prop_oneof![4 => 0..200_usize, 1 => 4_000..14_000_usize];
    let change = (0..3_u8, key, proptest::option::of((any::<u8>(), length)));
    proptest::collection::vec(proptest::collection::vec(change, 0..40), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_read_back_is_what_was_written(batches in batches(), reopen_every in 1..4_usize) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path()).store;
        let mut model = Model::new();
        for (number, batch) in batches.iter().enumerate() {
            let batch: Vec<Row> = batch
                .iter()
                .map(|(table, key, value)| Row {
                    table: *table,
                    key: key.as_slice().into(),
                    value: value.map(|(byte, length)| vec![byte; length].into()),
                    fresh: false,
                })
                .collect();
            let applied = applied(number.try_into().unwrap());
            apply(&mut model, &batch);
            store.write(batch, applied).unwrap();
            if number % reopen_every == 0 {
                drop(store);
                let opened = open(directory.path());
                prop_assert_eq!(&opened.beginning, &Beginning::Kept);
                store = opened.store;
            }
            prop_assert_eq!(store.applied(), Some(applied));
            prop_assert_eq!(&rows(&store), &model);
        }
    }
}
