//! Record types reach the machine by entries: at founding, and whenever a node begins with a program that knows more of
//! them than its ledger does.
//!
//! What an older program knows less is left as it is. Nothing is ever taken back: what was published stays readable.

use crate::{
    clock::{Clock, Entropy},
    ledger::{AnyLedger, Draft, Fault, Ledger},
    machine::State,
    node::start,
    pb::ledger::v1 as pb,
    record::registry::{RecordType, Registry},
};

/// The registrations of every record type, as a ledger begins with them.
pub fn registrations(registry: &Registry) -> Vec<pb::RegisterRecordType> {
    registry.record_types().map(|known| registration(known, known.version())).collect()
}

/// One version of a type: its groups are those of the latest, since a new version only appends to them.
fn registration(known: &RecordType, version: u32) -> pb::RegisterRecordType {
    let group = |group: &crate::record::registry::FieldGroup| pb::FieldGroup {
        name: group.name().to_string(),
        special_category: group.special_category(),
    };
    pb::RegisterRecordType {
        name: known.name().to_string(),
        version,
        groups: known.groups().iter().map(group).collect(),
    }
}

/// What `registry` knows and `state` does not, in versions one after the other.
///
/// # Errors
/// [`Fault::Unusable`] if a later version of the program does not append to the groups that the ledger holds: then sets of
/// groups that are stored would mean something else.
fn missing(state: &State, registry: &Registry) -> Result<Vec<pb::RegisterRecordType>, Fault> {
    let mut missing = Vec::new();
    for known in registry.record_types() {
        let number = state.type_number(known.name());
        let held = number.and_then(|number| state.record_type(number));
        let from = held.map_or(1, |held| held.version.saturating_add(1));
        let appends = held.is_none_or(|held| {
            let groups = known.groups().iter().map(|g| (g.name(), g.special_category()));
            held.groups
                .iter()
                .map(|(name, special)| (name, *special))
                .eq(groups.take(held.groups.len()))
        });
        if from <= known.version() && !appends {
            let text = format!(
                "version {} of record type `{}` does not append to the field groups of the ledger",
                known.version(),
                known.name()
            );
            return Err(Fault::Unusable(text));
        }
        missing.extend((from..=known.version()).map(|version| registration(known, version)));
    }
    Ok(missing)
}

/// Has the ledger hold every record type of this program. Tells whether it had to append anything.
///
/// A ledger without space is left as it is: what it holds can be read and stopped, and new types wait for the next start.
///
/// # Errors
/// [`Fault::Unusable`] as `missing`; any other fault of the ledger.
pub(super) async fn complete(
    ledger: &AnyLedger,
    state: &State,
    registry: &Registry,
    (clock, entropy): (&Clock, &Entropy),
) -> Result<bool, Fault> {
    let drafts: Vec<Draft> = missing(state, registry)?
        .into_iter()
        .map(|kind| {
            let kind = pb::command::Kind::RegisterRecordType(kind);
            let command = start::operator_command(clock, entropy, kind);
            start::draft(clock, entropy, &command, None)
        })
        .collect();
    if drafts.is_empty() {
        return Ok(false);
    }
    let count = drafts.len();
    match ledger.append(drafts).await {
        Ok(()) => {
            tracing::info!(count, "the ledger holds the record types that this program adds");
            Ok(true)
        }
        Err(Fault::Full) => {
            tracing::warn!(count, "no space is left to register record types");
            Ok(false)
        }
        Err(fault) => Err(fault),
    }
}
