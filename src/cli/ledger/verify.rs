//! `concordat ledger verify`: what an inspector checks alone, from the files.
//!
//! Nothing of the exchange is trusted but its genesis: every checksum, leaf hash and attachment digest and the tree are
//! recomputed. With `--decide` every command is decided again by the rules, and what the node attested is compared. An
//! older checkpoint that somebody kept proves that the history it covers is still the same.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        compose::DataFiles,
        error::{CliError, Exit},
        output::{Output, words},
        time,
    },
    ledger::{
        Entry, Fault, checkpoint::Checkpoint, disk::OsDisk, leaf, segment::Attached, tree::Tree,
        verify,
    },
    machine::{
        self, Effect, Outcome, State,
        command::{Kind, Parsed, exchange::ExchangeCommand},
    },
    model::{
        digest::Digest,
        id::LedgerId,
        order::{Position, TreeSize},
    },
};

/// A verification.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The ledger's directory, or the data directory of an exchange. Nothing in it is changed.
    directory: PathBuf,
    /// Decide every command again and compare what was attested. It takes about as long as replaying the ledger.
    #[arg(long)]
    decide: bool,
    /// A checkpoint kept from before, as `concordat ledger checkpoint` printed it: the ledger must continue it.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl Verify {
    pub(super) fn run(self, output: Output) -> Result<(), CliError> {
        let Self { directory, decide, checkpoint } = self;
        let inner = DataFiles::in_directory(&directory).ledger;
        let path = if inner.is_dir() { inner } else { directory };
        let kept = match &checkpoint {
            Some(path) => {
                Some(fs::read_to_string(path).map_err(|cause| CliError::file(path, &cause))?)
            }
            None => None,
        };
        let disk = OsDisk::existing(&path).map_err(|cause| CliError::file(&path, &cause))?;
        let mut reading = Reading::new(decide, kept.as_deref().and_then(size_of));
        let report = verify::verify(&disk, &mut |entry, attached| reading.take(entry, attached))
            .map_err(|fault| {
                let mut error = CliError::from(fault);
                if error.exit == Exit::Unavailable {
                    error.exit = Exit::Invalid;
                }
                error
            })?;
        reading.hold_erased()?;
        if let Some(note) = &kept {
            reading.continues(note)?;
        }
        if report.torn {
            words("the end is a torn group, which was never acknowledged; the next start drops it");
        }
        if !decide && 0 < reading.attestations {
            words("the attestations were counted and not checked; --decide checks them");
        }
        output.one(&json!({
            "ledger": reading.ledger.map(|id| id.to_string()),
            "entries": report.entries.count(),
            "root": report.root.to_string(),
            "admitted_at": time::show(report.admitted_at),
            "attachments": report.attachments,
            "erased": report.erased,
            "bytes": report.bytes,
            "torn": report.torn,
            "attestations": reading.attestations,
            "attestations_checked": reading.checked,
            "decided": if decide { report.entries.count() } else { 0 },
            "refused": reading.refused,
            "checkpoint_continued": kept.is_some(),
        }))
    }
}

/// What is gathered while the entries go by.
struct Reading {
    ledger: Option<LedgerId>,
    checkpoint_key: [u8; 32],
    state: Option<State>,
    tree: Tree,
    /// The size of the checkpoint that was kept, and the root that the tree had then.
    kept: Option<(TreeSize, Option<Digest>)>,
    attestations: u64,
    checked: u64,
    refused: u64,
    /// The entries whose attachments are missing.
    erased: Vec<Position>,
}

impl Reading {
    fn new(decide: bool, kept: Option<TreeSize>) -> Self {
        Self {
            ledger: None,
            checkpoint_key: [0; 32],
            state: decide.then(State::empty),
            tree: Tree::default(),
            kept: kept.map(|size| (size, None)),
            attestations: 0,
            checked: 0,
            refused: 0,
            erased: Vec::new(),
        }
    }

    fn take(&mut self, entry: &Entry, attached: &Attached) -> Result<(), Fault> {
        self.grow(entry);
        if *attached == Attached::Erased {
            self.erased.push(entry.position);
        }
        let parsed = Parsed::from_bytes(&entry.command);
        let command = match &parsed {
            Parsed::Command(command) => Some(&**command),
            Parsed::Malformed(_) => None,
            Parsed::Later(version) => {
                return Err(Fault::Unusable(format!(
                    "entry {} needs rules {version}; use a newer program",
                    entry.position
                )));
            }
        };
        let exchange = command.and_then(|command| match &command.kind {
            Kind::Exchange(exchange) => Some(exchange),
            Kind::Agency(_)
            | Kind::Agreement(_)
            | Kind::Consent(_)
            | Kind::Policy(_)
            | Kind::Client(_)
            | Kind::Record(_)
            | Kind::Subscription(_)
            | Kind::Recall(_)
            | Kind::Dispute(_)
            | Kind::Case(_)
            | Kind::Erasure(_)
            | Kind::Emergency(_)
            | Kind::Words(_)
            | Kind::Succession(_) => None,
        });
        let attests = matches!(exchange, Some(ExchangeCommand::Attest { .. }));
        if let Some(ExchangeCommand::Genesis { ledger, checkpoint_key, .. }) = exchange
            && self.ledger.is_none()
        {
            (self.ledger, self.checkpoint_key) = (Some(*ledger), *checkpoint_key);
        }
        if attests {
            self.attestations = self.attestations.saturating_add(1);
        }
        let Some(state) = &mut self.state else { return Ok(()) };
        let applied = machine::apply(state, entry.position, entry.admitted_at, command);
        if applied.effects.contains(&Effect::Diverged) {
            let text =
                format!("entry {} attests another state than the rules give", entry.position);
            return Err(Fault::Corrupt(text));
        }
        self.count(&applied.outcome, attests);
        Ok(())
    }

    /// Holds that an applied erasure names every attachment that is missing, if commands were decided.
    fn hold_erased(&self) -> Result<(), CliError> {
        let Some(state) = &self.state else { return Ok(()) };
        match self.erased.iter().find(|position| !state.is_removed(**position)) {
            None => Ok(()),
            Some(position) => Err(CliError::new(
                Exit::Other,
                format!("the attachment of entry {position} is missing"),
            )
            .because("no erasure names it, so it was destroyed by somebody or something else")),
        }
    }

    fn count(&mut self, outcome: &Outcome, attests: bool) {
        match outcome {
            Ok(_) if attests => self.checked = self.checked.saturating_add(1),
            Ok(_) => {}
            Err(_) => self.refused = self.refused.saturating_add(1),
        }
    }

    fn grow(&mut self, entry: &Entry) {
        self.tree.push(leaf::leaf_hash(entry));
        if let Some((size, root)) = &mut self.kept
            && *size == self.tree.size()
        {
            *root = Some(self.tree.root());
        }
    }

    /// Holds that the checkpoint is signed by this ledger's key and that the ledger continues it.
    fn continues(&self, note: &str) -> Result<(), CliError> {
        let failed = |what: String| CliError::new(Exit::Other, what);
        let ledger = self.ledger.ok_or_else(|| failed("the ledger has no genesis".to_owned()))?;
        let origin = format!("concordat/{ledger}");
        let kept = Checkpoint::verify(note, &origin, &self.checkpoint_key).map_err(|cause| {
            failed(format!("the checkpoint does not belong to this ledger: {cause}"))
        })?;
        match self.kept {
            Some((_, Some(root))) if root == kept.root => Ok(()),
            Some((_, Some(_))) => Err(failed(format!(
                "the first {} entries are not those of the checkpoint",
                kept.size
            ))
            .because("history was changed after the checkpoint was signed")),
            Some((_, None)) | None => Err(failed(format!(
                "the checkpoint covers {} entries and the ledger holds {}",
                kept.size,
                self.tree.size()
            ))
            .because("the ledger was cut short, or an old copy of it is read")),
        }
    }
}

/// The size that a note states; its signature is checked later.
fn size_of(note: &str) -> Option<TreeSize> {
    note.lines().nth(1)?.parse().ok().map(TreeSize::new)
}
