//! The stored bytes of format 1, written out: whoever changes one of them breaks every ledger there is.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may end a test, as tests themselves may"
)]
#![expect(clippy::needless_raw_string_hashes, reason = "the expectations are written by a tool")]

use std::fmt::Write;

use bytes::Bytes;
use concordat::{
    ledger::{
        Draft, Sealed, Space,
        disk::{Disk, DiskFile, ForgetfulDisk},
        segment::{Options, Segment},
        verify::verify,
    },
    model::order::{Position, UnixMillis},
};
use expect_test::expect;

use crate::ledger_samples::read_file;

fn drafts() -> [Draft; 2] {
    let plain = Draft {
        proposed_at: UnixMillis::new(1_700_000_000_000),
        salt: [0x11; 16],
        command: Bytes::from_static(b"first command"),
        sealed: None,
        space: Space::Ordinary,
    };
    let sealed = Draft {
        proposed_at: UnixMillis::new(1_699_999_999_999),
        salt: [0x22; 16],
        command: Bytes::from_static(b"second command"),
        sealed: Some(Sealed { salt: [0x33; 16], bytes: Bytes::from_static(b"ciphertext") }),
        space: Space::Reserved,
    };
    [plain, sealed]
}

fn written() -> (ForgetfulDisk, Segment<ForgetfulDisk>) {
    let disk = ForgetfulDisk::new();
    let options = Options { segment_bytes: 512, tail_bytes_max: 0 };
    let ledger = Segment::open(disk.clone(), options).unwrap();
    for draft in drafts() {
        ledger.append_blocking(vec![draft]).unwrap();
    }
    (disk, ledger)
}

/// 32 bytes a line.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_stored_bytes_of_format_1_are_these() {
    let (disk, ledger) = written();
    assert_eq!(disk.list().unwrap(), ["00000000000000000000.segment", "concordat.format", "spare"]);
    expect![[r#"
        concordat ledger 1
    "#]]
    .assert_eq(&String::from_utf8(read_file(&disk, "concordat.format")).unwrap());
    let bytes = read_file(&disk, "00000000000000000000.segment");
    expect![[r#"
        636f6e636f72646174206c656467657200000001000002000000000000000000
        60d435ab00533ca900cf7f849479832ae3b0c44298fc1c149afbf4c8996fb924
        27ae41e4649b934ca495991b7852b8553c2e965d677275700000007600000000
        0000000000000001dd8d8bce99ea6554010000018bcfe5680011111111111111
        111111111111111111b64a1202f3aa598c96deb0b8f9c2f466259f3bfe1d7e09
        49f04da02cecf9e7230000000d00000000000000000000000000000000000000
        0000000000000000000000000000000000666972737420636f6d6d616e64646f
        6e65677275700000009d000000000000000100000001255dbc8603db56290200
        00018bcfe5680022222222222222222222222222222222e045cab7fa90fc18fa
        63d692876d2755e35c68ff97ca9609b9ce6630cef57f3e0000000e0000000ab8
        4602098bfff8b25a7062668cd0462ef563701aaf89c1981f772c584bde01aa73
        65636f6e6420636f6d6d616e640000000000000000cbf3b65933333333333333
        33333333333333333363697068657274657874646f6e65000000000000000000
        0000000000000000000000000000000000000000000000000000000000000000
        0000000000000000000000000000000000000000000000000000000000000000
        0000000000000000000000000000000000000000000000000000000000000000
    "#]]
    .assert_eq(&hex(&bytes));
    expect!["31e2fd589dfafe8a8c8fe43e3670234fe968d60de481d4b39762d88b96075876"]
        .assert_eq(&ledger.head().1.to_string());
    ledger.erase_blocking(&[Position::new(1)]).unwrap();
    let erased = read_file(&disk, "00000000000000000000.segment");
    let same = bytes.iter().zip(&erased).take_while(|(one, other)| one == other).count();
    let (before, after) = erased.split_at(same);
    assert_eq!(before, &bytes[..same]);
    expect![[r#"
        e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5
        e5e5e5e5e5e5646f6e6500000000000000000000000000000000000000000000
        0000000000000000000000000000000000000000000000000000000000000000
        0000000000000000000000000000000000000000000000000000000000000000
        00000000000000000000000000000000000000
    "#]]
    .assert_eq(&hex(after));
}

/// The golden bytes are read, not only written: a later version must still open them.
#[test]
fn the_stored_bytes_of_format_1_are_read() {
    let (disk, ledger) = written();
    let (size, root) = ledger.head();
    drop(ledger);
    let copy = ForgetfulDisk::new();
    for name in ["00000000000000000000.segment", "concordat.format"] {
        copy.create(name).unwrap().write_at(&read_file(&disk, name), 0).unwrap();
    }
    let mut commands = Vec::new();
    let report = verify(&copy, &mut |entry, _| {
        commands.push(entry.command.clone());
        Ok(())
    })
    .unwrap();
    assert_eq!((report.entries, report.root), (size, root));
    assert_eq!(commands, drafts().map(|draft| draft.command));
    assert_eq!(report.admitted_at, UnixMillis::new(1_700_000_000_000));
}
